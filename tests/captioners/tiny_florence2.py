"""A tiny random Florence-2: the real class and processor. What it says means nothing."""

from pathlib import Path

from captioners.florence2 import Florence2Settings


def tiny_florence2(folder: Path) -> Florence2Settings:
    """32 px pictures, a byte-level tokenizer with the tokens for places."""
    import torch
    from transformers import (
        BartConfig,
        BartTokenizer,
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
        Florence2VisionConfig,
    )

    from tests.captioners.writing import letters

    torch.manual_seed(0)
    vocab, merges = letters("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    tokenizer = BartTokenizer(vocab, merges, model_max_length=256, extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens([f"<loc_{number}>" for number in range(1000)])
    images = CLIPImageProcessor(
        size={"height": 32, "width": 32}, do_center_crop=False, crop_size={"height": 32, "width": 32}
    )
    images.image_seq_length = 17  # 4 x 4 places and one for all of them
    parsers = {
        "pure_text": {}, "description_with_bboxes": {"PATTERN": None},
    }  # fmt: skip
    processor = Florence2Processor(images, tokenizer, num_additional_image_tokens=0, post_processor_config=parsers)
    vision = Florence2VisionConfig(
        depths=(1, 1), patch_size=(7, 3), patch_stride=(4, 2), patch_padding=(3, 1), patch_prenorm=(False, True),
        embed_dim=(8, 16), num_heads=(2, 2), num_groups=(2, 2), window_size=4, projection_dim=16,
        max_position_embeddings=8, max_temporal_embeddings=4, drop_path_rate=0.0,
    )  # fmt: skip
    text = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=256,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, init_std=0.5,
    )  # fmt: skip
    config = Florence2Config(
        text_config=text.to_dict(), vision_config=vision.to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return Florence2Settings(model=str(folder), max_tokens=8)
