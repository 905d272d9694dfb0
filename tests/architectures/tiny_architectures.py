"""What the tiny models of other architectures are made of."""

from __future__ import annotations

NAMES = ("qwen3", "llama3_1", "gemma3")
VARIABLE = "ANTIVENOM_TOKENIZERS"
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
SURE = 50
"""By how much larger the head is than it is drawn: as drawn, it could be sure of nothing."""
ARCHITECTURES = {
    # Name: (tokenizer, configuration class, causal model class, what differs from SIZES).
    "qwen3": ("qwen3", "Qwen3Config", "Qwen3ForCausalLM", {"head_dim": 8, "tie_word_embeddings": True}),
    "llama3_1": (
        "llama3_1",
        "LlamaConfig",
        "LlamaForCausalLM",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 5e5,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 1024,
            }
        },
    ),
    "gemma3": ("gemma3", "Gemma3TextConfig", "Gemma3ForCausalLM", {"head_dim": 8, "sliding_window": 64}),
    "mistral": ("llama3_1", "MistralConfig", "MistralForCausalLM", {"sliding_window": 64}),
    "phi": ("llama3_1", "PhiConfig", "PhiForCausalLM", {"partial_rotary_factor": 0.5}),
    "phi3": ("qwen3", "Phi3Config", "Phi3ForCausalLM", {"pad_token_id": 0}),
}
