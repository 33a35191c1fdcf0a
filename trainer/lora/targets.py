"""Which layers learn, as regular expressions over whole paths of layers; families choose from these or bring their own.

Paths are taken without a leading `text_model.`, which comes and goes between versions of transformers.
"""

_UNET_ATTENTION = r"attn[12]\.(to_[qkv]|to_out\.0)"
_UNET_TRANSFORMER = rf"(transformer_blocks\.\d+\.({_UNET_ATTENTION}|ff\.net\.(0\.proj|2))|proj_in|proj_out)"
_UNET_CONVOLUTION = r"(resnets\.\d+\.(conv[12]|conv_shortcut|time_emb_proj)|(down|up)samplers\.\d+\.conv)"

# The UNet of SD 1.x, SD 2.x and SDXL. "attention+ff" is the set that kohya's trainers call the standard LoRA, "all" is
# their LoCon; with the real SD 1.x they are 192 and 278 layers.
UNET = {
    "attention": rf".*\.transformer_blocks\.\d+\.{_UNET_ATTENTION}",
    "attention+ff": rf".*\.attentions\.\d+\.{_UNET_TRANSFORMER}",
    "all": rf".*\.(attentions\.\d+\.{_UNET_TRANSFORMER}|{_UNET_CONVOLUTION})",
}

# Any CLIP text encoder: attention and feed-forward of every layer, six a layer, as kohya's trainers take them.
CLIP = r"encoder\.layers\.\d+\.(self_attn\.(q|k|v|out)_proj|mlp\.fc[12])"
