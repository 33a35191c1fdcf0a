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

_JOINT_ATTENTION = r"attn2?\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
_JOINT_FEED_FORWARD = r"ff(_context)?\.net\.(0\.proj|2)"
_MODULATION = r"norm1(_context)?\.linear"

# Transformers that read pictures and words together. "all" adds the layers through which the timestep speaks.
SD3 = {
    "attention": rf"transformer_blocks\.\d+\.{_JOINT_ATTENTION}",
    "attention+ff": rf"transformer_blocks\.\d+\.({_JOINT_ATTENTION}|{_JOINT_FEED_FORWARD})",
    "all": rf"transformer_blocks\.\d+\.({_JOINT_ATTENTION}|{_JOINT_FEED_FORWARD}|{_MODULATION})",
}
FLUX = {  # with the blocks that read both as one row, where attention and feed-forward leave by one layer
    "attention": rf"(transformer_blocks\.\d+\.{_JOINT_ATTENTION}|single_transformer_blocks\.\d+\.attn\.to_[qkv])",
    "attention+ff": rf"(transformer_blocks\.\d+\.({_JOINT_ATTENTION}|{_JOINT_FEED_FORWARD})"
    r"|single_transformer_blocks\.\d+\.(attn\.to_[qkv]|proj_mlp|proj_out))",
    "all": rf"(transformer_blocks\.\d+\.({_JOINT_ATTENTION}|{_JOINT_FEED_FORWARD}|{_MODULATION})"
    r"|single_transformer_blocks\.\d+\.(attn\.to_[qkv]|proj_mlp|proj_out|norm\.linear))",
}
