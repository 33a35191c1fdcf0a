"""Arguments of sd-scripts and fields of kohya_ss that have no counterpart here: what is "off" for each, and why there
is none. What a setting names in its `Ui(kohya=...)` does not stand here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SECRETS = {"wandb_api_key", "huggingface_token"}

# How fields of other families begin in the window's files.
OTHER_FAMILIES = ("flux1_", "sd3_", "sdxl_", "anima_", "lumina_", "hunyuan_", "hunyuan_image_", "chroma_", "leco_")

ATTENTION = "PyTorch's own attention is always used"
WORKERS = "pictures are read ahead without being asked"
SEPARATE = "read from the base model's own folder"
UPLOAD = "nothing is uploaded by a run"
TRACKERS = "losses and samples are always kept in the run's folder, for the Runs room and for TensorBoard"
BLOCKS = "its blocks have the original's names; write rows with ours (lora.denoiser.blocks)"
TWO = "only LoRA itself and LoCon are imported, not this variant of it"
SWAP = "blocks are not swapped one by one"
CAPTION = "captions are not varied in this way"
PRECISE = "what learns is float32: 16 bits would swallow small steps"
ANSWERS = "checked by content each time"
FULL = "only LoRAs, and all weights of a UNet, are trained here"
WEIGHTS = "the loss is not weighted in this way"
NOISE = "noise is not changed in this way"

# why -> {name: its value where it does nothing, beside empty, false and zero}
_REASONS: dict[str, dict[str, Any]] = {
    ATTENTION: {"xformers": "none", "sdpa": None, "mem_eff_attn": None, "attn_mode": "torch", "split_attn": None,
                "use_flash_attn": None, "use_sage_attn": None},
    WORKERS: {"max_data_loader_n_workers": None, "persistent_data_loader_workers": None, "vae_batch_size": 1,
              "text_encoder_batch_size": 1, "sd3_text_encoder_batch_size": 1},
    ANSWERS: {"skip_cache_check": None, "cache_text_encoder_outputs_to_disk": None, "cache_info": None},
    SEPARATE: {"clip_l": None, "clip_g": None, "t5xxl": None, "ae": None, "gemma2": None, "qwen3": None, "byt5": None,
               "text_encoder": None, "llm_adapter_path": None, "t5_tokenizer_path": None, "tokenizer_cache_dir": None},
    UPLOAD: dict.fromkeys(
        ("huggingface_repo_id", "huggingface_token", "huggingface_repo_type", "huggingface_repo_visibility",
         "huggingface_path_in_repo", "save_state_to_huggingface", "resume_from_huggingface", "async_upload")),
    TRACKERS: dict.fromkeys(
        ("log_with", "log_tracker_name", "log_tracker_config", "log_config", "log_prefix", "wandb_api_key",
         "wandb_run_name", "console_log_level", "console_log_file", "console_log_simple", "show_timesteps")),
    BLOCKS: dict.fromkeys(
        ("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_alphas",
         "conv_block_dims", "conv_block_alphas", "network_reg_dims", "network_reg_lrs", "split_qkv", "split_mode",
         "img_attn_dim", "img_mlp_dim", "img_mod_dim", "txt_attn_dim", "txt_mlp_dim", "txt_mod_dim", "single_dim",
         "single_mod_dim", "in_dims", "enable_all_linear"))
    | {"train_double_block_indices": "all", "train_single_block_indices": "all"},
    TWO: dict.fromkeys(
        ("bypass_mode", "use_cp", "use_tucker", "use_scalar", "rank_dropout_scale", "constrain", "rescaled",
         "train_norm", "decompose_both", "ggpo_sigma", "ggpo_beta", "train_on_input"))
    | {"unit": 1, "LyCORIS_preset": "full"},
    SWAP: dict.fromkeys(("blocks_to_swap", "double_blocks_to_swap", "single_blocks_to_swap", "mem_eff_save",
                         "cpu_offload_checkpointing", "unsloth_offload_checkpointing", "vae_chunk_size",
                         "vae_disable_cache", "text_encoder_cpu", "lowram", "lowvram", "highvram",
                         "disable_mmap_load_safetensors")),
    CAPTION: {"token_warmup_min": 1, "token_warmup_step": None, "caption_dropout_every_n_epochs": None,
              "no_token_padding": None},
    PRECISE: {"full_fp16": None, "full_bf16": None},
    "8 bits have scales here in any case": {"fp8_scaled": None},
    FULL: {"fused_backward_pass": None,
           "fused_optimizer_groups": None, "blockwise_fused_optimizers": None, "stop_text_encoder_training": None,
           "stop_text_encoder_training_pct": None, "train_t5xxl": None, "t5xxl_lr": None, "train_text_encoder": None,
           "no_text_encoder_training": None, "t5xxl_device": None, "t5xxl_dtype": "bf16", "save_clip": None,
           "save_t5xxl": None, "train_inpainting": None},
    WEIGHTS: {"huber_scale": 1, "debiased_estimation": None, "v_pred_like_loss": None},
    NOISE: {"ip_noise_gamma_random_strength": None, "noise_offset_random_strength": None, "guidance_scale": 1,
            "model_prediction_type": "raw"},
    "the model reads captions as it was trained to": {
        "t5xxl_max_token_length": None, "apply_t5_attn_mask": None, "apply_lg_attn_mask": None,
        "system_prompt": None, "clip_l_dropout_rate": None, "clip_g_dropout_rate": None, "t5_dropout_rate": None,
        "pos_emb_random_crop_rate": None, "enable_scaled_pos_embed": None},
    "the VAE always works in float32": {"no_half_vae": None},
    "a state of another program cannot be gone on with; start from its LoRA file instead (Start from)": {
        "resume": None, "initial_epoch": None, "initial_step": None, "skip_until_initial_step": None},
    "states are kept as many as checkpoints": {"save_state_on_train_end": None, "save_last_n_epochs_state": None,
                                               "save_last_n_steps_state": None, "save_n_epoch_ratio": None},
    "faces are found in the pictures, not in their names: choose focus for what is kept": {"face_crop_aug_range": None},
    "pictures are scaled in the way that comes closest to averaging": {"resize_interpolation": None},
    "the rank is said here, and must be that of the file": {"dim_from_weights": None},
    "all pictures that are held out are looked at": {"max_validation_steps": None},
    "set by the schedule's own settings": {"lr_scheduler_timescale": None, "lr_scheduler_type": None,
                                           "lr_scheduler_args": None},
    "one machine is used, and PyTorch compiles nothing": {
        "num_machines": 1, "main_process_port": None, "dynamo_backend": "no",
        "dynamo_mode": "default", "dynamo_use_fullgraph": None, "dynamo_use_dynamic": None,
        "extra_accelerate_launch_args": None, "torch_compile": None, "ddp_timeout": None, "deepspeed": None,
        "ddp_gradient_as_bucket_view": None, "ddp_static_graph": None},
    "a model is known by its file": {
        "v2": None, "sdxl": None, "sd3_checkbox": None, "flux1_checkbox": None, "model_list": "custom",
        "model_type": "flux", "flux1_model_type": "flux"},
    "not a part of a LoRA run here": {"in_json": None, "dataset_repeats": 1, "dataset_class": None,
                                      "debug_dataset": None,
                                     "dataset_config": None, "train_inpainting_mask": None, "network_multiplier": 1,
                                     "custom_attributes": None, "metadata_file": None, "config_file": None,
                                     "output_config": None, "additional_parameters": None},
    "the number of processes says so (accelerate.processes)": {"multi_gpu": None},
    "it names folders, not where they lie: choose them": {"ss_dataset_dirs": "{}", "ss_reg_dataset_dirs": "{}"},
    "these entries are not written": {
        "metadata_thumbnail": None, "metadata_merged_from": None,
        "metadata_is_negative_embedding": None, "metadata_preprocessor": None},
}


def _rows() -> Iterator[tuple[str, tuple[Any, str]]]:
    for why, names in _REASONS.items():
        for name, off in names.items():
            yield name, (off, why)


ABSENT: dict[str, tuple[Any, str]] = dict(_rows())
"""name -> (its value where it does nothing, why it has no counterpart)."""
