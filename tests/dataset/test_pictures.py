import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from dataset.pictures import MAX_PIXELS, UPRIGHT, PictureError, header, looks_whole, read, size_of


def corner_picture(width=40, height=20):
    """Red with a blue top left corner: shows which way up it is."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (0, 0, 10, 10))
    return image


def is_near(pixel, colour, tolerance=12):
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(tmp_path, orientation, suffix):
    back = {6: 8, 8: 6}.get(orientation, orientation)  # the turn that undoes the orientation
    stored = corner_picture()
    if back != 1:
        stored = stored.transpose(UPRIGHT[back])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    stored.save(path, exif=exif, **({"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}))
    seen = read(path)
    assert size_of(path) == seen.size == (40, 20)
    assert is_near(seen.getpixel((4, 4)), (0, 0, 255), 30) and is_near(seen.getpixel((35, 15)), (255, 0, 0), 30)


def test_a_broken_exif_block_takes_nothing_from_the_picture(tmp_path):
    corner_picture().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff")
    assert size_of(tmp_path / "a.jpg") == read(tmp_path / "a.jpg").size == (40, 20)


def test_alpha_lies_on_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((255, 0, 0, 128), (4, 0, 8, 8))
    image.save(tmp_path / "a.png")
    seen = read(tmp_path / "a.png")
    assert seen.mode == "RGB"
    assert seen.getpixel((0, 0)) == (255, 255, 255) and is_near(seen.getpixel((6, 0)), (255, 127, 127), 1)


def test_grey_with_alpha(tmp_path):
    Image.new("LA", (4, 4), (0, 64)).save(tmp_path / "a.png")
    assert is_near(read(tmp_path / "a.png").getpixel((0, 0)), (191, 191, 191), 1)


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "a.png", transparency=0)
    image.save(tmp_path / "a.gif", transparency=0)
    for name in ("a.png", "a.gif"):
        seen = read(tmp_path / name)
        assert seen.getpixel((0, 0)) == (255, 255, 255) and seen.getpixel((1, 1)) == (200, 100, 50)


def test_sixteen_bits_are_scaled(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        assert [read(tmp_path / name).getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (128,) * 3, (255,) * 3]


def test_sixteen_bits_in_colour(tmp_path):
    row = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 0, 65535)
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, row))
    assert [read(tmp_path / "a.png").getpixel((x, 0)) for x in range(2)] == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floats_are_scaled(tmp_path, top):
    Image.fromarray(np.array([[0, top / 2, top]], dtype=np.float32)).save(tmp_path / "a.tif")
    assert [read(tmp_path / "a.tif").getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def test_one_bit(tmp_path):
    Image.new("1", (4, 4), 1).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").getpixel((0, 0)) == (255, 255, 255)


def test_cmyk(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    seen = read(tmp_path / "a.jpg")
    assert seen.mode == "RGB" and is_near(seen.getpixel((8, 8)), (255, 0, 0))


def test_a_profile_is_brought_to_srgb(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("RGB", (8, 8), (10, 200, 30)).save(tmp_path / "wrong_kind.png", icc_profile=lab)
    Image.new("RGB", (8, 8), (10, 200, 30)).save(tmp_path / "nonsense.png", icc_profile=b"nonsense")
    for name in ("wrong_kind.png", "nonsense.png"):
        assert read(tmp_path / name).getpixel((0, 0)) == (10, 200, 30)
    Image.new("RGB", (8, 8), (128, 128, 128)).save(tmp_path / "linear.png", icc_profile=linear_profile())
    assert is_near(read(tmp_path / "linear.png").getpixel((0, 0)), (188, 188, 188), 3)


def linear_profile():
    """sRGB's profile with its tone curves replaced by straight lines: mid grey must come out at 188."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for index in range(struct.unpack(">I", data[128:132])[0]):
        tag, offset, _ = struct.unpack(">4sII", data[132 + 12 * index: 144 + 12 * index])
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset: offset + 12] = b"curv" + bytes(8)  # a curve of no points is the identity
        if tag == b"desc":
            at = data.find("sRGB".encode("utf-16-be"), offset)
            data[at: at + 8] = "line".encode("utf-16-be")
    return bytes(data)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_gives_its_first_frame(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **({"lossless": True} if "webp" in name
                                                                               else {}))
    assert header(tmp_path / name).animated
    assert is_near(read(tmp_path / name).getpixel((4, 4)), (255, 0, 0))


def test_the_content_counts_not_the_name(tmp_path):
    corner_picture().save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").size == (40, 20)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    row = bytes(1 + 8200 // 8)
    (tmp_path / "bomb.png").write_bytes(png(8200, 5000, 1, 0, row * 5000))  # 41 megapixels of black in 5 KB
    assert 8200 * 5000 > MAX_PIXELS
    for use in (size_of, read):
        with pytest.raises(PictureError, match="8200 x 5000 is 41 megapixels; at most 40"):
            use(tmp_path / "bomb.png")


@pytest.mark.parametrize("size", [(12_000, 10_000), (60_000, 60_000)])  # beyond Pillow's own warning, and its own error
def test_a_huge_claim_is_refused(tmp_path, size, recwarn):
    (tmp_path / "claim.png").write_bytes(png(*size, 8, 0, b"\0"))
    with pytest.raises(PictureError, match="megapixels"):
        size_of(tmp_path / "claim.png")


@pytest.mark.parametrize("name, options", [("a.jpg", {}), ("a.png", {}), ("a.webp", {}), ("a.gif", {}), ("a.bmp", {})])
def test_a_cut_file_is_noticed_cheaply_and_told(tmp_path, name, options):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    noise.save(tmp_path / name, **options)
    assert looks_whole(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert not looks_whole(tmp_path / name)
    with pytest.raises(PictureError) as caught:
        read(tmp_path / name)
    assert "copy it again" in caught.value.fix


@pytest.mark.parametrize("content, reason", [(b"", "empty"), (b"just text", "not a picture"),
                                             (b"\x89PNG\r\n\x1a\n", ""),
                                             (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
                                             (b"\xff\xd8\xff\xe0" + bytes(300), ""), (b"GIF89a" + bytes(20), "")])
def test_what_is_no_picture_is_told(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    for use in (size_of, read):
        with pytest.raises(PictureError) as caught:
            use(tmp_path / "a.png")
        assert reason in caught.value.reason and caught.value.fix


def test_damage_anywhere_is_a_picture_error_or_a_picture(tmp_path):
    """Bytes turned at random in every format: never any other exception."""
    rng = np.random.default_rng(0)
    for suffix in ("jpg", "png", "webp", "gif", "bmp", "tif"):
        file = io.BytesIO()
        corner_picture().save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
        for _ in range(60):
            data = bytearray(file.getvalue())
            for _ in range(rng.integers(1, 8)):
                data[rng.integers(0, len(data))] = rng.integers(0, 256)
            path = tmp_path / f"damaged.{suffix}"
            path.write_bytes(data)
            try:
                assert read(path).mode == "RGB"
            except PictureError as error:
                assert error.reason and error.fix


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(PictureError, match="not a file"):
        size_of(tmp_path / "a.jpg")


def test_a_missing_file(tmp_path):
    with pytest.raises(PictureError, match="not there"):
        read(tmp_path / "a.jpg")


def png(width, height, bits, colour, rows):
    """A PNG file, written by hand."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
