"""Prompts inside pictures: A1111's text and ComfyUI's graph, in PNG, JPEG and WebP, whole and broken."""

from __future__ import annotations

import json

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from dataset.exchange.formats import formats
from dataset.exchange.prompts import from_a1111, from_comfyui, plain_words, prompt_of
from dataset.exchange.settings import ImportSettings

A1111 = (
    "a (red:1.2) dog, <lora:thing:0.8>, 猫\nsecond line\n"
    "Negative prompt: bad, ugly\nSteps: 20, Sampler: Euler a, Size: 512x512"
)
GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {"positive": ["6", 0], "negative": ["7", 0], "seed": 1}},
    "6": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["8", 0], "conditioning_2": ["9", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["4", 1]}},
    "8": {"class_type": "CLIPTextEncode", "inputs": {"text": ["10", 0], "clip": ["4", 1]}},
    "9": {"class_type": "CLIPTextEncode", "inputs": {"text": "other", "clip": ["4", 1]}},
    "10": {"class_type": "PrimitiveString", "inputs": {"value": "a red dog"}},
}


def png(path, **texts):
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_a1111_in_the_comment_of_jpeg_and_webp(kind, order, tmp_path):
    image, exif = Image.new("RGB", (8, 8)), Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + A1111.encode(order)
    image.save(tmp_path / "a", kind, exif=exif)
    assert prompt_of(tmp_path / "a") == "a (red:1.2) dog, <lora:thing:0.8>, 猫 second line"


def test_comfyui_in_webp(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "prompt:" + json.dumps(GRAPH)
    Image.new("RGB", (8, 8)).save(tmp_path / "a", "WEBP", exif=exif)
    assert prompt_of(tmp_path / "a") == "a red dog"


def test_png(tmp_path):
    assert prompt_of(png(tmp_path / "a.png", parameters=A1111)) == "a (red:1.2) dog, <lora:thing:0.8>, 猫 second line"
    assert prompt_of(png(tmp_path / "b.png", prompt=json.dumps(GRAPH), workflow="{}")) == "a red dog"
    assert prompt_of(png(tmp_path / "c.png")) == ""


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("a dog", "a dog"),
        ("a dog\nSteps: 3, Seed: 1", "a dog"),
        ("\nNegative prompt: x\nSteps: 3", ""),
        ("", ""),
        ("Negative prompt: x\nSteps: 3", ""),
        ("Steps: 20, Sampler: x", ""),
        ("a dog, Steps: to heaven", "a dog, Steps: to heaven"),
        ('{"prompt": "x"}', ""),
        ("two\r\nlines\r\nNegative prompt: y", "two\nlines"),
    ],
)
def test_a1111s_text(text, prompt):
    assert from_a1111(text) == prompt


@pytest.mark.parametrize(
    "graph",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '{"1": 5}',
        '{"1": {"inputs": {"positive": ["1", 0]}, "class_type": "KSampler"}}',
        '{"1": {"inputs": {"positive": ["1"]}}}',
        "[" * 3000,
        '{"3": {"class_type": null, "inputs": []}}',
    ],
)
def test_graphs_that_are_none(graph):
    assert from_comfyui(graph) == ""


def test_newer_samplers_and_unknown_ones():
    guided = {
        "1": {"class_type": "BasicGuider", "inputs": {"conditioning": ["2", 0]}},
        "2": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["3", 0], "guidance": 3.5}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox"}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "other"}},
    }
    assert from_comfyui(json.dumps(guided)) == "a fox"
    assert from_comfyui(json.dumps({"3": guided["3"]})) == "a fox"
    assert from_comfyui(json.dumps({"3": guided["3"], "4": guided["4"]})) == ""
    sdxl = {
        "1": {"class_type": "KSamplerAdvanced", "inputs": {"positive": [2, 0]}},
        "2": {"class_type": "CLIPTextEncodeSDXL", "inputs": {"text_g": "a fox", "text_l": "a fox"}},
    }
    assert from_comfyui(json.dumps(sdxl)) == "a fox"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a (red:1.2) dog, <lora:thing:0.8>, [blue]", "a red dog, blue"),
        ("((x)), (y:0.5)BREAK z", "x, y, z"),
        (r"emma \(series\), (a \(b\):1.1)", "emma (series), a (b)"),
        ("ratio 16:9, time: 12", "ratio 16:9, time: 12"),
        (":) smile", ": smile"),
    ],
)
def test_plain_words(prompt, words):
    assert plain_words(prompt) == words


def test_a_folder_of_them(tmp_path):
    png(tmp_path / "a.png", parameters=A1111)
    png(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no")
    read = formats()["embedded"].read
    found = read(tmp_path, ImportSettings(source="a", output="b"))
    assert {record.name: record.caption for record in found.records} == {
        "a.png": "a red dog, 猫 second line",
        "b.png": "",
    }
    assert any("1 picture without a prompt" in problem.reason for problem in found.problems)
    assert (
        read(tmp_path, ImportSettings(source="a", output="b", plain_prompts=False))
        .records[0]
        .caption.startswith("a (red:1.2)")
    )
