"""What other trainers got wrong once, by number: where each is shown not to happen here, and the tests of those that no
other file shows."""

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest
import torch

from tests import models
from tests.lora import attach as attach_all
from tests.lora import scramble, tiny_parts
from tests.trainer.reading import equal, newest
from trainer import command
from trainer.base_model.models import find
from trainer.families import families
from trainer.loop import train
from trainer.lora import file, inject, keys

TESTS = Path(__file__).parents[1]
HERE, FAMILIES, FLOW = "trainer/test_pitfalls.py", "contracts/test_families.py", "trainer/families/test_flow.py"
LORA, KINDS, PRIOR = "trainer/lora/test_lora_file.py", "trainer/lora/test_kinds.py", "trainer/prior/test_prior.py"
LOOP, OBJECTIVE, SDXL = "trainer/test_loop.py", "trainer/loss/test_objective.py", "trainer/families/test_sdxl.py"

# number and what went wrong: where it is shown not to
PITFALLS = {
    "P1 names of text encoders follow the version of a library": {
        "trainer/lora/test_keys.py": ["test_text_encoder_names_do_not_depend_on_transformers"]},
    "P2 an alpha other than the rank is lost on the way": {
        "trainer/lora/test_dialects.py": ["test_there_and_back_is_the_same_to_the_bit"],
        "trainer/test_exports.py": ["test_peft_and_diffusers_predict_what_our_merge_predicts"],
        LORA: ["test_a_peft_folder_is_read_with_its_alphas"]},
    "P3 adapters are no longer float32 after a resume or a sample": {
        "trainer/lora/test_inject.py": ["test_adapters_are_float32_whatever_the_base"],
        LOOP: ["test_adapters_and_their_optimiser_stay_float32"]},
    "P4 fp16 with a gradient scaler breaks, or does when resumed": {
        "trainer/test_resume.py": ["test_killed_and_gone_on_is_the_same_as_left_alone"]},
    "P5 latents or a caption of another picture": {
        LOOP: ["test_cached_latents_are_those_of_their_picture"],
        "trainer/test_seen_is_trained.py": ["test_the_pixels_are_those_that_the_vae_gets"]},
    "P6 rows of prior preservation get each other's prompts": {
        PRIOR: ["test_each_row_has_its_own_prompt_sizes_and_weight_at_batch_3"]},
    "P7 min-SNR weights that are wrong or no numbers": {
        OBJECTIVE: ["test_min_snr_weights", "test_min_snr_is_finite_where_there_is_no_signal"],
        PRIOR: ["test_each_row_has_its_own_prompt_sizes_and_weight_at_batch_3"]},
    "P8 sizes of SDXL's pictures: rounded, or those of another": {
        SDXL: ["test_sizes_are_told_as_the_pipeline_tells_them_and_in_float32"],
        PRIOR: ["test_each_row_has_its_own_prompt_sizes_and_weight_at_batch_3"]},
    "P9 noise that is rounded away": {OBJECTIVE: ["test_noised_and_target_follow_the_closed_form_at_every_timestep"]},
    "P10 captions that grow or stand for others from step to step": {
        FAMILIES: ["test_captions_are_encoded_each_by_itself"],
        HERE: ["test_p10_predicting_and_drawing_leave_what_was_said_as_it_was"]},
    "P11 captions are cut elsewhere than the pipeline cuts them": {
        FLOW: ["test_a_prediction_is_what_the_pipeline_hands_to_its_sampler"],
        HERE: ["test_p11_captions_are_as_long_as_the_pipelines"]},
    "P15 saving changes the modules that learn": {HERE: ["test_p15_saving_leaves_the_model_as_it_was"]},
    "P16 looking at pictures changes the training": {
        "trainer/test_validation.py": ["test_looking_changes_nothing_and_says_the_same_twice"],
        LOOP: ["test_samples_saves_and_caching_do_not_touch_the_training"],
        FAMILIES: ["test_a_sample_follows_from_its_seed"]},
    "P17 with checkpointing nothing learns behind frozen embeddings": {
        FAMILIES: ["test_checkpointing_changes_no_gradient"],
        HERE: ["test_p17_text_encoders_learn_the_same_with_checkpointing"]},
    "P18 a kind of adapter that is not nothing at first, or merges to something else": {
        KINDS: ["test_it_starts_as_nothing_learns_with_every_weight_and_merges_to_its_forward"]},
    "P19 keys that fit nothing are passed over": {
        LORA: ["test_keys_without_a_layer_are_counted_and_none_at_all_is_an_error"]},
    "P20 a kohya file that diffusers refuses or reads as something else": {
        LORA: ["test_forward_equals_our_merge_equals_diffusers_merge"],
        KINDS: ["test_readers_elsewhere_do_what_was_trained"],
        SDXL: ["test_its_file_loads_in_diffusers_with_every_key_and_draws_what_a_merge_draws"]},
    "P24 folders with files that are no pictures, or odd ones, in any order": {
        "dataset/test_scan.py": ["test_what_is_no_picture_is_passed_over", "test_the_order_is_that_of_the_names",
                                 "test_broken_files_are_named_and_the_rest_goes_on"],
        "dataset/test_pictures.py": ["test_cmyk", "test_sixteen_bits_are_scaled", "test_alpha_lies_on_white",
                                     "test_exif_turns_the_picture_upright"]},
    "P25 a run that is asked again at its last step": {
        HERE: ["test_p25_at_its_last_step_a_run_is_done_and_stays_what_it_is"]},
    "P26 merging in 16 bit loses what was learnt": {
        "trainer/lora/test_merge.py": ["test_the_sum_is_made_in_float32_even_for_16_bit_adapters_and_weights"]},
    "P29 the sign of the bias": {OBJECTIVE: ["test_a_positive_bias_means_more_noise"]},
}
NUMBERS = [*range(1, 12), *range(15, 21), 24, 25, 26, 29]


@cache
def found_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_number_has_tests_that_are_there():
    assert [name.split()[0] for name in PITFALLS] == [f"P{number}" for number in NUMBERS]
    lost = {(path, name) for where in PITFALLS.values() for path, names in where.items()
            for name in names if name not in found_in(path)}
    assert not lost


LONG = [name for name, family in families().items() if hasattr(inspect.getmodule(family), "LONGEST")]


@pytest.mark.parametrize("name", LONG)
def test_p11_captions_are_as_long_as_the_pipelines(name):
    import diffusers

    family = families()[name]
    asked = inspect.signature(getattr(diffusers, family.pipeline).__call__).parameters["max_sequence_length"]
    assert inspect.getmodule(family).LONGEST == asked.default


@pytest.fixture(scope="module", params=families())
def of_kind(request, tmp_path_factory):
    """(family, its parts) of a tiny model."""
    family = families()[request.param]()
    folder = getattr(models, f"tiny_{request.param}")(tmp_path_factory.mktemp("pitfalls") / request.param)
    return family, family.load(find(str(folder)), torch.float32), folder


def test_p10_predicting_and_drawing_leave_what_was_said_as_it_was(of_kind):
    from trainer.families.base import Drawing, View

    family, _, _ = of_kind
    with torch.no_grad():
        said, nothing = family.encode_captions(["a red dog", "a cat"]), family.encode_captions([""])
        before = {key: tensor.clone() for key, tensor in said.items()}
        mean, _ = family.encode_pictures(torch.zeros(2, 3, 64, 64))
        more = family.conditions([View((64, 64), 0, 0, (64, 64))] * 2)
        timesteps = torch.tensor([0.5, 0.5] if "flow" in family.traits else [500, 500])
        found = [family.predict(mean, timesteps, said | more) for _ in range(3)]
        one = {key: tensor[:1] for key, tensor in said.items()}
        family.draw(one, nothing, Drawing(64, 64, 2, 3.0, "ddim", 1))
        again = family.predict(mean, timesteps, said | more)
    assert all(torch.equal(tensor, said[key]) for key, tensor in before.items())
    assert all(torch.equal(one, again) for one in found)


def test_p17_text_encoders_learn_the_same_with_checkpointing(of_kind):
    from tests.lora import spec

    name, folder = of_kind[0].name, of_kind[2]
    if not of_kind[0].text_encoders:
        pytest.skip("its text encoders never learn")

    def gradients(checkpointed: bool) -> dict:
        family = families()[name]()
        parts, weights = family.load(find(str(folder)), torch.float32), []
        for part in family.text_encoders:
            weights += inject.inject(parts[part].train(), spec(parts[part], part, family.text_layers, 4, 4.0), seed=0)
        if checkpointed:
            family.checkpoint_gradients()
        said = family.encode_captions(["a red dog", "a cat"])
        total = sum(tensor.square().sum() for tensor in said.values() if tensor.requires_grad)
        found = torch.autograd.grad(total, weights, allow_unused=True)
        return {place: gradient for place, gradient in enumerate(found) if gradient is not None}

    plain, checkpointed = gradients(False), gradients(True)
    assert sum(bool(gradient.any()) for gradient in plain.values()) >= 6  # the second matrix of a layer's six
    torch.testing.assert_close(plain, checkpointed)


def test_p15_saving_leaves_the_model_as_it_was(tmp_path):
    parts = tiny_parts()
    attach_all(parts, rank=2)
    scramble(parts)
    parts["denoiser"].bfloat16()

    def facts() -> list:
        return [(name, weight.dtype, weight.device, weight.data_ptr(), weight.requires_grad, weight._version)
                for part in parts.values() for name, weight in part.named_parameters()]

    assert any("lora" in name for name, *_ in facts())
    before, modes = facts(), [part.training for part in parts.values()]
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        file.save(tmp_path / "a.safetensors", inject.state(parts), inject.alphas(parts), dtype=dtype,
                  naming=keys.STABLE_DIFFUSION, metadata={})
    assert facts() == before and [part.training for part in parts.values()] == modes


def test_p25_at_its_last_step_a_run_is_done_and_stays_what_it_is(configure):
    job = command.create(configure(run={"epochs": 1}))
    train(job.folder)
    first = newest(job)
    train(job.folder)
    assert job.state() == "finished" and equal(newest(job).adapters, first.adapters)
