"""A vision model of random numbers, 0.7 MB, for llama.cpp: it speaks nonsense, but through a real server.

    python -m tests.helpers.tiny_vlm FOLDER     write the model and serve it; prints the server's address

Tensor and key names are llama.cpp's: a `llama` decoder, and a `clip` encoder with an `mlp` projector as in LLaVA 1.5.
"""

import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

WIDTH, LAYERS, HEADS, HIDDEN = 64, 2, 4, 128
CONTEXT_TOKENS = 4096
VISION_WIDTH, VISION_LAYERS, VISION_HIDDEN = 32, 2, 64
PATCH_PX, IMAGE_PX = 14, 56
IMAGE_TOKENS = (IMAGE_PX // PATCH_PX) ** 2
WORDS = ("a", "photo", "of", "the", "cat", "dog", "person", "with", "and", "on", "table", "red", "blue")
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
# Kinds of token in a SentencePiece vocabulary.
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


@dataclass(frozen=True, slots=True)
class TinyModel:
    """The two files that llama.cpp wants."""

    decoder: Path
    projector: Path


class _Weights:
    """Random tensors that are the same on every run."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def noise(self, *shape: int) -> NDArray[np.float32]:
        return (self._random.standard_normal(shape) * 0.05).astype(np.float32)


def write_tiny_model(folder: Path) -> TinyModel:
    """Write both files into `folder`."""
    weights = _Weights()
    model = TinyModel(folder / "tiny-decoder.gguf", folder / "tiny-projector.gguf")
    _write_decoder(model.decoder, weights)
    _write_projector(model.projector, weights)
    return model


def _write_decoder(path: Path, weights: _Weights) -> None:
    pieces = [f"\u2581{word}" for word in WORDS] + ["\u2581"] + [chr(code) for code in range(33, 127)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 3 + [-1000.0] * 256 + [-float(rank) for rank in range(len(pieces))])
    writer.add_token_types([UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(pieces))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    writer.add_tensor("token_embd.weight", weights.noise(len(tokens), WIDTH))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output.weight", weights.noise(len(tokens), WIDTH))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{block}.{name}.weight", weights.noise(WIDTH, WIDTH))
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{name}.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{block}.ffn_gate.weight", weights.noise(HIDDEN, WIDTH))
        writer.add_tensor(f"{block}.ffn_up.weight", weights.noise(HIDDEN, WIDTH))
        writer.add_tensor(f"{block}.ffn_down.weight", weights.noise(WIDTH, HIDDEN))
    _finish(writer)


def _write_projector(path: Path, weights: _Weights) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_name("tiny-random-projector")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_size(IMAGE_PX)
    writer.add_vision_patch_size(PATCH_PX)
    writer.add_vision_embedding_length(VISION_WIDTH)
    writer.add_vision_feed_forward_length(VISION_HIDDEN)
    writer.add_vision_projection_dim(WIDTH)
    writer.add_vision_block_count(VISION_LAYERS)
    writer.add_vision_head_count(2)
    writer.add_vision_attention_layernorm_eps(1e-5)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    writer.add_tensor("v.class_embd", weights.noise(VISION_WIDTH))
    writer.add_tensor("v.patch_embd.weight", weights.noise(VISION_WIDTH, 3, PATCH_PX, PATCH_PX))
    writer.add_tensor("v.position_embd.weight", weights.noise(IMAGE_TOKENS + 1, VISION_WIDTH))
    norms = ["v.pre_ln", "v.post_ln"]
    linears = {"mm.0": (WIDTH, VISION_WIDTH), "mm.2": (WIDTH, WIDTH)}
    for layer in range(VISION_LAYERS):
        block = f"v.blk.{layer}"
        norms += [f"{block}.ln1", f"{block}.ln2"]
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linears[f"{block}.{name}"] = (VISION_WIDTH, VISION_WIDTH)
        # In this encoder the two halves have each other's names: `ffn_down` comes first.
        linears[f"{block}.ffn_down"] = (VISION_HIDDEN, VISION_WIDTH)
        linears[f"{block}.ffn_up"] = (VISION_WIDTH, VISION_HIDDEN)
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(VISION_WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(VISION_WIDTH, np.float32))
    for name, (outputs, inputs) in linears.items():
        writer.add_tensor(f"{name}.weight", weights.noise(outputs, inputs))
        writer.add_tensor(f"{name}.bias", np.zeros(outputs, np.float32))
    _finish(writer)


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _serve(model: TinyModel) -> None:
    import xllamacpp

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    params = xllamacpp.CommonParams()
    params.model.path = str(model.decoder)
    params.mmproj.path = str(model.projector)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 2
    params.sampling.temp = 0  # the same nonsense every time
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    stop.wait()


if __name__ == "__main__":
    _serve(write_tiny_model(Path(sys.argv[1])))
