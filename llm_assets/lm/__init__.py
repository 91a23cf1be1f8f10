"""Language-model building blocks: device, model, optimisers, checkpoints, tokenizer, chat template, generation, GGUF."""
