"""What the training form says while one types: what does not go together, beside its field or wherever that hides; and
the curves that follow from what is typed."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Visit

expect.set_options(timeout=PATIENCE)


def test_what_does_not_go_together_is_said_wherever_its_field_hides(visit: Visit) -> None:
    page = visit.page
    visit.open("LoRA training")
    level = page.locator("#train-guide")
    level.get_by_label("Expert").check()
    folders, debiased = page.locator("#train-dataset-folders"), page.locator("#train-noise-debiased")
    group = page.locator("#train-group-noise")
    debiased.locator("input").check()
    page.locator("#train-noise-min_snr_gamma input").fill("5")
    expect(debiased.locator(".lor-problem")).to_contain_text("in place of min-SNR")
    expect(page.locator("#plan")).to_contain_text("2 things are missing")
    expect(folders.locator(".lor-problem")).to_have_count(0)  # nobody has come to it yet

    told = group.locator(".lor-group-told")
    expect(told).to_have_count(0)
    level.get_by_label("Quick").check()
    expect(told).to_contain_text("Debiased estimation: weighs timesteps")
    expect(page.locator("#train-sketch-noise")).to_be_hidden()
    told.get_by_role("button", name="Debiased estimation").click()
    expect(debiased.locator(".lor-problem")).to_be_visible()
    expect(level.get_by_label("Expert")).to_be_checked()
    group.locator(".lor-group-head").click()
    expect(told).to_contain_text("in place of min-SNR")
    group.locator(".lor-group-head").click()
    expect(told).to_have_count(0)
    page.locator("#train-noise-min_snr_gamma input").fill("")
    expect(debiased.locator(".lor-problem")).to_have_count(0)


def test_what_comes_late_is_not_news(visit: Visit) -> None:
    """The answer to what was typed arrives after that to a preset, which was chosen later."""
    page = visit.page
    visit.open("LoRA training")
    debiased = page.locator("#train-noise-debiased")
    page.locator("#train-guide").get_by_label("Expert").check()
    page.locator("#train-noise-min_snr_gamma input").fill("5")
    page.evaluate("""() => {
      const plain = window.fetch;
      window.fetch = async (...asked) => {
        const reply = await plain(...asked), told = (await reply.clone().text()).includes("in place of min-SNR");
        if (told && !window.comes) await new Promise((comes) => { window.comes = comes; });
        return reply;
      };
    }""")
    debiased.locator("input").check()
    page.wait_for_function("() => window.comes")
    page.get_by_label("Preset", exact=True).select_option("ours/sd15/style-12gb")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(debiased.locator("input")).not_to_be_checked()
    page.evaluate("() => { window.comes(); return new Promise((done) => setTimeout(done, 1000)); }")
    expect(debiased.locator(".lor-problem")).to_have_count(0)


def test_a_field_that_does_not_apply_can_be_reached_when_it_has_no_effect(visit: Visit) -> None:
    page = visit.page
    visit.open("LoRA training")
    shift = page.locator("#train-noise-shift")
    page.locator("#train-search").fill("discrete_flow_shift")
    shift.locator("input").fill("2")
    page.locator("#train-search").fill("")
    expect(shift).to_be_hidden()
    told = page.locator("#train-group-noise .lor-group-told")
    expect(told).to_contain_text("Shift: has no effect with Stable Diffusion 1.x")
    told.get_by_role("button", name="Shift").click()
    expect(shift.locator("input")).to_be_focused()
    shift.locator("input").fill("")
    expect(page.locator("#train-group-noise .lor-warning")).to_have_count(0)


def test_curves_follow_what_is_typed(visit: Visit) -> None:
    page = visit.page
    visit.open("LoRA training")
    page.locator("#train-guide").get_by_label("Expert").check()
    rate, noise = page.locator("#train-sketch-rate"), page.locator("#train-sketch-noise")
    expect(rate).to_contain_text("Highest 0.0001 at 1 % of the run")
    expect(rate.get_by_role("img", name="Learning rate")).to_be_visible()
    page.locator("#train-schedule-warmup input").fill("0.2")
    expect(rate).to_contain_text("Highest 0.0001 at 21 % of the run")
    expect(rate.get_by_role("cell", name="1.00e-4")).to_have_count(1)  # the same for those who can't see it
    page.locator("#train-noise-timestep_max input").fill("300")
    expect(noise).to_contain_text("Mostly detail")
    page.locator("#train-noise-timestep_max input").fill("-3")
    expect(noise).to_contain_text("Drawn as soon as these settings are right.")
