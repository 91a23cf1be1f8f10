"""The training loss of a Llama model, with hand-written forward and backward passes over its own weights.

The matrices of a small model are nearly free on a CPU with bfloat16 units; four fifths of the stock modules' time go into
passes over memory between them (casts, normalisation, rotary embedding, a full float32 softmax over the vocabulary). Here norm
weights are folded into the matrices that follow, rotation is one complex product, attention keeps its probabilities instead of
computing them twice, and the head's softmax, loss and gradient are made in chunks that never exist at once. Same mathematics: a
test holds loss and gradients in float32 to those of transformers' modules. It is for training on a CPU; GPUs have fused
kernels of their own.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

IGNORED = -100
_SMALLEST = 1e-37  # below it a probability counts as this, so that its log stays finite
# Rows given to the head are filled up to a multiple of this: oneDNN compiles, and keeps, kernels for every new shape.
_HEAD_MULTIPLE = 128
_HEAD_ROWS = 1024  # tokens whose logits exist at once: 8 MB in bfloat16 with 4,096 ids


def supports(model: nn.Module, device: torch.device) -> bool:
    """Whether ``loss`` computes this model: Llama, SiLU, no biases, plain rotary embedding, on a CPU."""
    config: Any = model.config
    return bool(
        device.type == "cpu"
        and config.model_type == "llama"
        and config.hidden_act == "silu"
        and not config.attention_bias
        and not config.mlp_bias
        and config.rope_parameters.get("rope_type") == "default"
    )


@dataclass(frozen=True)
class _Geometry:
    """What is the same for all layers of one call: sizes, rotation tables (complex, (T, D/2)), causal mask, dropout."""

    batch: int
    length: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    rotate_q: Tensor  # the 1/sqrt(D) of the scores is in it
    rotate_k: Tensor
    mask: Tensor  # (T, T), or (B, 1, T, T) where documents are kept apart
    dropout: float

    def noise(self, like: Tensor) -> Tensor | None:
        """A dropout mask already divided by what it keeps, or None."""
        if not self.dropout:
            return None
        return torch.empty_like(like).bernoulli_(1 - self.dropout).div_(1 - self.dropout)


def _normalise(x: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """``x / rms(x)`` of each row, as ``dtype``, and 1 / rms in float32."""
    scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = scale.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return (x * scale).to(dtype), scale


def _normalise_backward(grad: Tensor, normed: Tensor, scale: Tensor, onto: Tensor) -> Tensor:
    """``onto`` plus the gradient of the row that was normalised."""
    dot = (grad * normed).sum(-1, keepdim=True, dtype=torch.float32).div_(-normed.shape[-1])
    inner = torch.addcmul(grad, normed, dot.to(normed.dtype))
    return torch.addcmul(onto, inner.float(), scale)


def _to_heads(flat: Tensor, g: _Geometry) -> tuple[Tensor, Tensor, Tensor]:
    """(B·T, (h + 2k)·D) → rotated queries (B·k, h/k·T, D), rotated keys and values (B·k, T, D)."""
    b, t, h, k, d = g.batch, g.length, g.heads, g.kv_heads, g.head_dim
    flat = flat.view(b, t, h + 2 * k, d)
    pairs = torch.view_as_complex(flat[:, :, : h + k].float().view(b, t, h + k, d // 2, 2))
    q = torch.empty((b, h, t, d), dtype=flat.dtype)
    q.copy_(torch.view_as_real(pairs[:, :, :h] * g.rotate_q[:, None]).flatten(-2).transpose(1, 2))
    key = torch.empty((b, k, t, d), dtype=flat.dtype)
    key.copy_(torch.view_as_real(pairs[:, :, h:] * g.rotate_k[:, None]).flatten(-2).transpose(1, 2))
    value = flat[:, :, h + k :].transpose(1, 2).reshape(b * k, t, d)
    return q.view(b * k, -1, d), key.view(b * k, t, d), value


def _from_heads(dq: Tensor, dk: Tensor, dv: Tensor, g: _Geometry) -> Tensor:
    """Gradients of ``_to_heads``' results → gradient of its input."""
    b, t, h, k, d = g.batch, g.length, g.heads, g.kv_heads, g.head_dim
    turned = torch.empty((b, t, h + k, d))
    turned[:, :, :h] = dq.view(b, h, t, d).transpose(1, 2)
    turned[:, :, h:] = dk.view(b, k, t, d).transpose(1, 2)
    pairs = torch.view_as_complex(turned.view(b, t, h + k, d // 2, 2))
    pairs[:, :, :h].mul_(g.rotate_q.conj_physical()[:, None])
    pairs[:, :, h:].mul_(g.rotate_k.conj_physical()[:, None])
    flat = torch.empty((b, t, h + 2 * k, d), dtype=dq.dtype)
    flat[:, :, : h + k] = torch.view_as_real(pairs).flatten(-2)
    flat[:, :, h + k :] = dv.view(b, k, t, d).transpose(1, 2)
    return flat.view(b * t, -1)


class _Block(Function):
    """One layer: residual stream (N, H) float32 → the same, N = B·T. Weights are in the precision of the products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_qkv: Tensor, w_o: Tensor, w_gu: Tensor, w_d: Tensor, g: _Geometry) -> Tensor:
        dtype = w_qkv.dtype
        n1, s1 = _normalise(x, g.eps, dtype)
        q, k, v = _to_heads(n1 @ w_qkv.T, g)
        scores = torch.bmm(q, k.transpose(1, 2))
        scores.view(g.batch, g.heads, g.length, g.length).add_(g.mask)
        p = torch.softmax(scores, -1)
        o = torch.bmm(p, v)
        o_flat = o.view(g.batch, g.heads, g.length, g.head_dim).transpose(1, 2).reshape(x.shape[0], -1)
        added = o_flat @ w_o.T
        noise1 = g.noise(added)
        middle = x + (added if noise1 is None else added.mul_(noise1)).float()
        n2, s2 = _normalise(middle, g.eps, dtype)
        both = n2 @ w_gu.T
        gate, up = both.chunk(2, -1)
        active = nn.functional.silu(gate)
        y = active * up
        added = y @ w_d.T
        noise2 = g.noise(added)
        out = middle.add_((added if noise2 is None else added.mul_(noise2)).float())
        kept = (n1, s1, q, k, v, p, o, o_flat, n2, s2, both, active, y, w_qkv, w_o, w_gu, w_d, noise1, noise2)
        ctx.save_for_backward(*kept)
        ctx.geometry = g
        return out

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        n1, s1, q, k, v, p, o, o_flat, n2, s2, both, active, y, w_qkv, w_o, w_gu, w_d, noise1, noise2 = ctx.saved_tensors
        g: _Geometry = ctx.geometry
        d = dx.to(n1.dtype) if noise2 is None else dx.to(n1.dtype) * noise2
        dw_d = d.T @ y
        dy = d @ w_d
        gate, up = both.chunk(2, -1)
        dboth = torch.empty_like(both)
        dgate, dup = dboth.chunk(2, -1)
        torch.mul(dy, active, out=dup)
        torch.ops.aten.silu_backward.grad_input(dy.mul_(up), gate, grad_input=dgate)
        dw_gu = dboth.T @ n2
        dx = _normalise_backward(dboth @ w_gu, n2, s2, dx)

        d = dx.to(n1.dtype) if noise1 is None else dx.to(n1.dtype) * noise1
        dw_o = d.T @ o_flat
        do = (d @ w_o).view(g.batch, g.length, g.heads, g.head_dim).transpose(1, 2).reshape(o.shape)
        dv = torch.bmm(p.transpose(1, 2), do)
        dp = torch.bmm(do, v.transpose(1, 2))
        ds = dp.sub_((do * o).sum(-1, keepdim=True, dtype=torch.float32).to(p.dtype)).mul_(p)
        dqkv = _from_heads(torch.bmm(ds, k), torch.bmm(ds.transpose(1, 2), q), dv, g)
        dw_qkv = dqkv.T @ n1
        return _normalise_backward(dqkv @ w_qkv, n1, s1, dx), dw_qkv, dw_o, dw_gu, dw_d, None


class _Head(Function):
    """Residual stream (N, H), head (V, H), labels (N) → sum over labels ≥ 0 of -log p(label), times ``weight``, float32.

    The gradient is made in the forward pass, while a chunk's probabilities are at hand.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, head: Tensor, labels: Tensor, weight: float, eps: float) -> Tensor:
        normed, scale = _normalise(x, eps, head.dtype)
        nats = torch.zeros(())
        dnormed = torch.empty_like(normed)
        dhead = torch.zeros(head.shape, dtype=torch.float32)
        for start in range(0, normed.shape[0], _HEAD_ROWS):
            rows, wanted = normed[start : start + _HEAD_ROWS], labels[start : start + _HEAD_ROWS]
            counts = wanted >= 0
            p = torch.softmax(rows @ head.T, -1)
            flat = p.view(-1)
            places = torch.arange(rows.shape[0]) * p.shape[1] + wanted.clamp(min=0)
            nats -= (flat[places].float().clamp(min=_SMALLEST).log_() * counts).sum()
            flat.index_add_(0, places, torch.full_like(flat[places], -1))
            if not bool(counts.all()):
                p.mul_(counts[:, None])
            torch.mm(p, head, out=dnormed[start : start + _HEAD_ROWS])
            dhead += p.T @ rows
        dx = _normalise_backward(dnormed, normed, scale, torch.zeros(())).mul_(weight)
        ctx.save_for_backward(dx, dhead.mul_(weight))
        return nats * weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dx, dhead = ctx.saved_tensors
        return dx * grad, dhead * grad, None, None, None


def _interleave(weight: Tensor, head_dim: int) -> Tensor:
    """Rows of each head from (first half, second half) to pairs, which a complex product rotates; scores don't change."""
    return weight.view(-1, 2, head_dim // 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def _geometry(
    config: Any, inverse_frequencies: Tensor, ids: Tensor, mask: Tensor | None, dtype: torch.dtype, dropout: float
) -> _Geometry:
    batch, length = ids.shape
    angles = torch.outer(torch.arange(length).float(), inverse_frequencies.float())
    turn = torch.polar(torch.ones_like(angles), angles)
    return _Geometry(
        batch=batch,
        length=length,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        eps=config.rms_norm_eps,
        rotate_q=turn / math.sqrt(config.head_dim),
        rotate_k=turn,
        mask=torch.full((length, length), float("-inf"), dtype=dtype).triu_(1) if mask is None else mask.to(dtype),
        dropout=dropout,
    )


def loss(
    model: nn.Module,
    ids: Tensor,
    labels: Tensor,
    weight: float,
    dtype: torch.dtype,
    *,
    mask: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """``weight`` × sum of -log p(label) in nats over labels that are not negative, differentiable in all the model's weights.

    ``ids``, ``labels``: (B, T) int64. ``mask``: added to the scores, (B, 1, T, T); None is causal. ``dtype``: of matrix
    products and activations; the residual stream, the norms' scales and all sums are float32. ``dropout`` is on what each
    layer's two halves add to the residual stream. In bfloat16 one label's probability carries 3 digits, so a batch's loss is
    within about 1e-4 nats of float32's.
    """
    inner: Any = model.model
    scored: Any = _Head.apply
    x, wanted = residual(model, ids, dtype, mask=mask, dropout=dropout), labels.reshape(-1)
    if bool((wanted < 0).any()):  # answers are a small part of a chat: the head runs on them alone
        places = (wanted >= 0).nonzero().flatten()
        extra = -len(places) % _HEAD_MULTIPLE
        x = x[nn.functional.pad(places, (0, extra))]
        wanted = nn.functional.pad(wanted[places], (0, extra), value=IGNORED)
    output: Any = model.lm_head
    head = (output.weight * inner.norm.weight).to(dtype)
    result: Tensor = scored(x, head, wanted, weight, inner.config.rms_norm_eps)
    return result


def residual(model: nn.Module, ids: Tensor, dtype: torch.dtype, *, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """The residual stream after the last layer, before the final norm: (B·T, H) float32; arguments as ``loss``."""
    inner: Any = model.model
    config: Any = model.config
    block: Any = _Block.apply
    g = _geometry(config, inner.rotary_emb.inv_freq, ids, mask, dtype, dropout)
    x = nn.functional.embedding(ids.reshape(-1), inner.embed_tokens.weight)
    for layer in inner.layers:
        a, m = layer.self_attn, layer.mlp
        turned = (_interleave(a.q_proj.weight, g.head_dim), _interleave(a.k_proj.weight, g.head_dim), a.v_proj.weight)
        w_qkv = torch.cat(turned) * layer.input_layernorm.weight
        w_gu = torch.cat((m.gate_proj.weight, m.up_proj.weight)) * layer.post_attention_layernorm.weight
        x = block(x, w_qkv.to(dtype), a.o_proj.weight.to(dtype), w_gu.to(dtype), m.down_proj.weight.to(dtype), g)
    return x
