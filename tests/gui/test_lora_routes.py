"""The LoRA tools room's routes: a file is looked into and written anew; what is wrong comes back in one sentence."""

import json

from jobs import folder


def test_a_file_is_looked_into_and_written_anew(page, tmp_path):
    from tests.lora import random_lora
    from trainer.families import families
    from trainer.lora import dialects

    path = tmp_path / "-my style.safetensors"
    dialects.write(path, random_lora("sdxl"), families()["sdxl"].naming, "comfyui", {"ss_output_name": "<x>"})
    report = page.post("/api/lora/inspect", json={"path": str(path)}).json()
    assert report["family"]["name"] == "sdxl" and report["metadata"]["ss_output_name"] == "<x>"
    assert report["coverage"]["layers"] == len(random_lora("sdxl")) and report["unmatched"]["count"] == 0
    done = page.post("/api/lora/convert", json={"path": str(path), "to": "peft"}).json()
    assert done["path"] == str(tmp_path / "-my style-peft") and (tmp_path / "-my style-peft" / "unet").is_dir()


def test_what_is_wrong_is_said(page, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"no")
    for path, words in (("", "Choose a LoRA"), (str(tmp_path / "b"), "can't be read"),
                        (str(tmp_path / "a.safetensors"), "not a complete safetensors file")):
        answer = page.post("/api/lora/inspect", json={"path": path})
        assert answer.status_code in (409, 422) and words in answer.json()["detail"]


def test_what_a_run_learnt_is_read_from_its_folder(page):
    job = folder.create("train", "a", "", ["python"])
    assert page.get(f"/api/runs/{job.id}/coverage").json() == {"layers": 0, "parts": []}
    (job.folder / "coverage.json").write_text(json.dumps({"layers": 3, "parts": []}))
    assert page.get(f"/api/runs/{job.id}/coverage").json()["layers"] == 3
    assert page.get("/api/runs/nothing/coverage").status_code == 404
