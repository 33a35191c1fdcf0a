"""Where masks are found, and that nothing takes them for pictures to train on."""

import pytest
from PIL import Image

from dataset import masks
from dataset.scan import scan
from dataset.settings import Folder


def draw(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), colour).save(path)
    return path


def scanned(folder):
    found = scan([Folder(path=str(folder))])
    return [item.path.relative_to(folder).as_posix() for item in found.items], found.problems


@pytest.mark.parametrize("name", ["masks/a.b.png", "masks/a.b.webp", "a.b-masklabel.png", "a.b_mask.png"])
def test_every_convention_is_found(tmp_path, name):
    picture = draw(tmp_path / "a.b.jpg")
    assert masks.find(picture) is None
    draw(tmp_path / name)
    assert masks.find(picture) == tmp_path / name
    pictures, problems = scanned(tmp_path)
    assert pictures == ["a.b.jpg"]
    assert [(problem.kind, problem.used) for problem in problems if problem.kind == "masks"] == [("masks", True)]


def test_ours_comes_first(tmp_path):
    picture = draw(tmp_path / "a.png")
    draw(tmp_path / "a-masklabel.png")
    draw(masks.place(picture))
    assert masks.find(picture) == masks.place(picture) == tmp_path / "masks" / "a.png"


def test_what_only_sounds_like_a_mask_is_a_picture(tmp_path):
    """A carnival in a folder called masks; venice_mask without venice; masks with no pictures beside them."""
    for name in ("carnival/masks/1.png", "carnival/other.png", "venice_mask.png", "x/masks/only.png"):
        draw(tmp_path / name)
    pictures, problems = scanned(tmp_path)
    assert set(pictures) == {"carnival/masks/1.png", "carnival/other.png", "venice_mask.png", "x/masks/only.png"}
    assert not [problem for problem in problems if problem.kind == "masks"]
    draw(tmp_path / "masks.png")
    assert masks.find(tmp_path / "masks.png") is None


def test_masks_in_folders_with_repeats(tmp_path):
    draw(tmp_path / "10_dog" / "1.png")
    draw(tmp_path / "10_dog" / "masks" / "1.png")
    assert scanned(tmp_path)[0] == ["10_dog/1.png"]


def test_the_folder_itself_may_be_called_masks(tmp_path):
    draw(tmp_path / "masks" / "1.png")
    assert scanned(tmp_path / "masks")[0] == ["1.png"]


def test_a_mask_is_read_as_grey(tmp_path):
    Image.new("RGBA", (8, 8), (255, 255, 255, 255)).save(tmp_path / "a.png")
    assert (masks.read(tmp_path / "a.png").mode, masks.read(tmp_path / "a.png").getextrema()) == ("L", (255, 255))
