"""The kinds of adapter, one file each: what learns beside a layer, how it starts, and what it does to the weight.

LoRA and rsLoRA are PEFT's layers (inject.py); the others are layers of our own, because PEFT scales DoRA along the axis
that ComfyUI and A1111 don't, turns the inputs for OFT and breaks convolutions with it, starts LoHa and LoKr otherwise
than LyCORIS, whose learning rates people know, and cuts the base in two for PiSSA. Each kind is:

a class that takes a layer's place and says what of it learns (base.py), and one for what files hold (adapter.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from trainer.lora import adapter
from trainer.lora.adapter import Adapter, Update
from trainer.lora.keys import LoraError
from trainer.lora.kinds.base import AdapterLayer
from trainer.lora.kinds.dora import Decomposed, Dora
from trainer.lora.kinds.loha import Hadamard, Loha
from trainer.lora.kinds.lokr import Kronecker, Lokr
from trainer.lora.kinds.oft import Oft, Rotation
from trainer.lora.kinds.pissa import Pissa, exported

LAYERS: dict[str, type[AdapterLayer] | None] = {
    "lora": None, "rslora": None, "dora": Dora, "pissa": Pissa, "loha": Loha, "lokr": Lokr, "oft": Oft,
}  # fmt: skip
"""What each choice of `lora.kind` puts in a layer's place; None: PEFT's LoRA."""
UPDATES: tuple[type[Update], ...] = (Decomposed, Hadamard, Kronecker, Rotation)
"""What a file may hold for a layer beside a plain LoRA."""
LORA = ("lora_A.weight", "lora_B.weight", "lora_A.start", "lora_B.start")
ROLES = {role: update for update in UPDATES for role in update.ROLES}
"""{name of a tensor behind the layer's: what it is a part of}."""


FIRST = ("down", "hada_w1_a", "lokr_w1", "lokr_w1_a", "oft_blocks")
"""The role of a tensor that each layer of a file has exactly one of."""


def kind_of(name: str) -> str:
    """Of the adapter that has a weight of this name ("denoiser.<path>.hada_w1_a"); "" of a name that is none's. Kinds
    whose weights are LoRA's are "lora"."""
    role = parted(name)[1]
    return "lora" if role in LORA[:2] else ROLES[role].kind if role in ROLES else ""


def parted(name: str) -> tuple[str, str]:
    """(the layer's name, the weight's) of a name from inject.state or inject.kept; the second is "" where it is none's
    of an adapter."""
    weight = next((role for role in (*LORA, *ROLES) if name.endswith(f".{role}")), "")
    return (name.removesuffix(f".{weight}"), weight) if weight else (name, "")


def made(weights: Mapping[str, Tensor], alpha: float) -> Update:
    """The update of a layer from the weights that learnt and those that stood still (inject.kept), by name. Raises
    KeyError where one is missing, LoraError where they do not fit each other."""
    if update := next((ROLES[role] for role in weights if role in ROLES), None):
        return update.made(weights, alpha)
    if "lora_A.start" in weights:
        return exported(weights, alpha)
    return Adapter(weights["lora_A.weight"], weights["lora_B.weight"], alpha)


def assembled(tensors: Mapping[str, Tensor], keys: Mapping[str, str], where: str) -> Update:
    """The update whose tensors are found in a file by `keys` ({role: key}); LoraError, beginning with `where`, when it
    is not whole, of a kind that is not known here, or no number."""
    if "foreign" in keys:
        raise LoraError(f"{where} is a kind of adapter that can't be read here ({keys['foreign']})")
    if not any(role in ROLES for role in keys):
        return adapter.assembled(tensors, keys, where)
    weights = {"lora_A.weight" if role == "down" else "lora_B.weight" if role == "up" else role: tensors[key]
               for role, key in keys.items() if role != "alpha"}
    adapter.refuse_spoilt(tuple(weights.values()), where)
    try:
        whole = made(weights, 1.0)
        found = made(weights, whole.alpha_in(tensors.get(keys.get("alpha", "")), where))
    except KeyError as error:
        raise LoraError(f"{where} is not whole: {error.args[0]} is missing") from error
    except LoraError as error:
        raise LoraError(f"{where} {error}") from error
    if strange := weights.keys() - found.weights.keys() - {"lora_magnitude_vector"}:
        raise LoraError(f"{where} mixes kinds of adapter ({', '.join(sorted(strange))}), which can't be read here")
    return found


def inputs(tensors: Mapping[str, Tensor], keys: Mapping[str, str]) -> int | None:
    """The inputs of the layer that an update in a file was made for; None where it does not tell, or is not whole."""
    if "down" in keys:
        return tensors[keys["down"]].shape[1]
    try:
        return assembled(tensors, keys, "").columns()
    except LoraError:
        return None
