from settings.reference import markdown
from settings.section import settings
from tests.settings.tree import Top


def test_the_page_names_every_setting_with_what_is_allowed() -> None:
    page = markdown(Top)
    assert page.startswith("# Options\n\nOne run.\n")
    assert all(f"| `{setting.path}` |" in page for setting in settings(Top))
    assert "| `denoiser.rank` | `16` | whole number ≥ 1, ≤ 512 | Size of the update. | `network_dim" in page
    assert "| `learning_rate` | `0.0001` | number > 0, ≤ 10 |" in page
    assert "| `noise.gamma` | `5` | number > 0, ≤ 20, or empty |" in page
    assert "| `precision` | `bf16` | `bf16`, `fp16`, `no` |" in page
    assert "| `noise.steps` | `auto` | whole number, `auto` |" in page
    assert "| `folders` | empty | several: group |" in page
    assert "| `folders[].repeats` | empty | whole number ≥ 1, or" in page
    assert "## noise\n\nHow much noise.\n\n| setting" in page
