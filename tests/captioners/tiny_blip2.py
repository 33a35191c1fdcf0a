"""A tiny random BLIP-2: the real class with OPT behind it, a byte-level tokenizer. What it says means nothing."""

from pathlib import Path

from captioners.blip2 import Blip2Settings


def tiny_blip2(folder: Path) -> Blip2Settings:
    """28 px pictures, 4 places for a picture."""
    import torch
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
        GPT2Tokenizer,
        OPTConfig,
    )

    from tests.captioners.writing import letters

    torch.manual_seed(0)
    vocab, merges = letters("<s>", "<pad>", "</s>")
    tokenizer = GPT2Tokenizer(
        vocab, merges, unk_token="</s>", bos_token="</s>", eos_token="</s>", pad_token="<pad>", model_max_length=200
    )
    processor = Blip2Processor(BlipImageProcessor(size={"height": 28, "width": 28}), tokenizer, num_query_tokens=4)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Blip2Config(
        vision_config=Blip2VisionConfig(
            **small, intermediate_size=32, image_size=28, patch_size=14, initializer_range=0.5
        ).to_dict(),
        qformer_config=Blip2QFormerConfig(
            **small, intermediate_size=32, vocab_size=30, encoder_hidden_size=16, initializer_range=0.5
        ).to_dict(),
        text_config=OPTConfig(
            **small, vocab_size=len(tokenizer), ffn_dim=32, word_embed_proj_dim=16, max_position_embeddings=256,
            bos_token_id=2, eos_token_id=2, pad_token_id=1, init_std=0.5,
        ).to_dict(),
        num_query_tokens=4, image_token_index=tokenizer.convert_tokens_to_ids("<image>"), initializer_range=0.5,
    )  # fmt: skip
    model = Blip2ForConditionalGeneration(config)
    with torch.no_grad():
        model.query_tokens.normal_()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return Blip2Settings(model=str(folder), max_tokens=8)
