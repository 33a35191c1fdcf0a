"""A tiny random LLaVA as JoyCaption is one: Llama, SigLIP, and a chat template that puts the picture in by itself."""

from pathlib import Path

from captioners.joycaption import JoyCaptionSettings

TEMPLATE = (
    "<|begin|>{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['role'] == 'user' %}<image>{% endif %}{{ message['content'] | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_joycaption(folder: Path) -> JoyCaptionSettings:
    """28 px pictures of 4 patches."""
    import torch
    from transformers import (
        GPT2Tokenizer,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        SiglipImageProcessor,
        SiglipVisionConfig,
    )

    from tests.captioners.writing import letters

    torch.manual_seed(0)
    vocab, merges = letters("<|begin|>", "<|end|>", "<|pad|>", "<|user|>", "<|system|>", "<|assistant|>", "<image>")
    tokenizer = GPT2Tokenizer(
        vocab, merges, unk_token="<|pad|>", bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|system|>", "<|assistant|>", "<image>"], model_max_length=2000,
    )  # fmt: skip
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "initializer_range": 0.5}  # fmt: skip
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**small, image_size=28, patch_size=14).to_dict(),
        text_config=LlamaConfig(
            **small, vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=2000, bos_token_id=0,
            eos_token_id=1, pad_token_id=2,
        ).to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), vision_feature_layer=-1, image_seq_length=4,
        vision_feature_select_strategy="full", initializer_range=0.5,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    model.generation_config.update(do_sample=True, temperature=0.6, top_p=0.9)  # as JoyCaption's own folder has it
    model.save_pretrained(folder)
    LlavaProcessor(
        SiglipImageProcessor(size={"height": 28, "width": 28}), tokenizer, patch_size=14,
        vision_feature_select_strategy="full", chat_template=TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    return JoyCaptionSettings(model=str(folder), max_tokens=8)
