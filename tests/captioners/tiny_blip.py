"""A tiny random BLIP: the real class and processor with few weights. What it says means nothing."""

from pathlib import Path

from captioners.blip import BlipSettings


def tiny_blip(folder: Path) -> BlipSettings:
    """About 15,000 weights, 48 px pictures, 24 tokens at most."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipTextConfig, BlipVisionConfig

    from toy import blip

    torch.manual_seed(0)
    tokenizer = blip.build_tokenizer()
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
             "initializer_range": 0.5}  # fmt: skip
    text = BlipTextConfig(
        **small, vocab_size=len(tokenizer), max_position_embeddings=blip.LENGTH,
        bos_token_id=tokenizer.convert_tokens_to_ids("[DEC]"), eos_token_id=tokenizer.sep_token_id,
        sep_token_id=tokenizer.sep_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    vision = BlipVisionConfig(**small, image_size=blip.SIDE, patch_size=8)
    config = BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), initializer_range=0.5)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    blip.build_processor(tokenizer).save_pretrained(folder)
    return BlipSettings(model=str(folder), max_tokens=12)
