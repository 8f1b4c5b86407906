"""Models of many families, to see which of them the norm counts: ``python -m benchmarks.zoo``.

Every model has random weights and a small size that keeps its structure; nothing is downloaded.
The families of timm, transformers and torch_geometric need the extra `zoo`.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepnorm.norms import Complexity, UncountedLayerWarning, spectral_complexity
from replica.common.files import replace_file

__all__ = ["FAMILIES", "WARNED", "Family", "measure", "missing"]

#: Seed of weights and inputs.
SEED = 0
#: Added to every parameter, so that none that begins at zero hides what stands behind it.
NOISE = 0.02


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes
    ----------
    library : str
        "torch", or the package that it comes from.
    make : callable
        Gives the model and the arguments of one pass.
    """

    library: str
    make: Callable[[], tuple[nn.Module, Any]]

    def build(self) -> tuple[nn.Module, Any]:
        """The model with weights that are all random, and the arguments of one pass."""
        torch.manual_seed(SEED)
        model, example = self.make()
        generator = torch.Generator().manual_seed(SEED)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(NOISE * noise.to(parameter.dtype))
        return model.eval(), example


def missing(family: Family) -> str:
    """Why a family cannot be built here, "" if it can."""
    absent = importlib.util.find_spec(family.library) is None
    return f"{family.library} is not installed (the extra `zoo`)" if absent else ""


def _image(size: int = 64, channels: int = 3) -> Tensor:
    return torch.rand((1, channels, size, size), generator=torch.Generator().manual_seed(SEED))


def _tokens(length: int = 7, words: int = 50) -> Tensor:
    return torch.randint(3, words, (1, length), generator=torch.Generator().manual_seed(SEED))


# ------------------------------------------------------------------------------- timm


def _timm(name: str, size: int = 64, **more: Any) -> Family:
    def make() -> tuple[nn.Module, Any]:
        timm = importlib.import_module("timm")
        return timm.create_model(name, pretrained=False, num_classes=10, **more), _image(size)

    return Family("timm", make)


VIT = {"img_size": 64, "depth": 2, "embed_dim": 96, "num_heads": 3}
TWO = {"depths": (1, 1, 1, 1), "embed_dim": 24}

TIMM = {
    "BEiT": _timm("beit_base_patch16_224", **VIT),
    "BoTNet": _timm("botnet26t_256", 128, img_size=128),
    "LambdaResNet": _timm("lambda_resnet26t", 128, img_size=128),
    "GC-ResNeXt": _timm("gcresnext26ts"),
    "ByobNet": _timm("test_byobnet"),
    "RepVGG": _timm("repvgg_a0"),
    "MobileOne": _timm("mobileone_s0"),
    "CaiT": _timm("cait_xxs24_224", img_size=64, depth=2, embed_dim=48, num_heads=2),
    "CoaT": _timm("coat_tiny", img_size=64, serial_depths=(1, 1, 1, 1), parallel_depth=1),
    "CoaT-Lite": _timm("coat_lite_tiny", img_size=64, serial_depths=(1, 1, 1, 1)),
    "ConViT": _timm("convit_tiny", img_size=64, depth=2, local_up_to_layer=1),
    "ConvMixer": _timm("convmixer_768_32"),
    "ConvNeXt": _timm("test_convnext"),
    "ConvNeXt V2": _timm("test_convnext2"),
    "CrossViT": _timm("crossvit_tiny_240", 240, depth=((1, 1, 0), (1, 1, 0), (1, 1, 0))),
    "CSPDarknet": _timm("cs3darknet_s"),
    "DaViT": _timm("davit_tiny", depths=(1, 1), embed_dims=(24, 48), num_heads=(2, 2)),
    "DeiT": _timm("deit_tiny_distilled_patch16_224", img_size=64, depth=2),
    "DeiT III": _timm("deit3_small_patch16_224", **VIT),
    "DenseNet (timm)": _timm("densenet121", block_config=(2, 2, 2, 2)),
    "DLA": _timm("dla46_c"),
    "DPN": _timm("dpn48b"),
    "EdgeNeXt": _timm("edgenext_xx_small"),
    "EfficientNet": _timm("test_efficientnet"),
    "EfficientNet EvoNorm": _timm("test_efficientnet_evos"),
    "EfficientNet GroupNorm": _timm("test_efficientnet_gn"),
    "EfficientNet LayerNorm": _timm("test_efficientnet_ln"),
    "MixNet": _timm("mixnet_s"),
    "MNASNet": _timm("mnasnet_small"),
    "EfficientViM": _timm("efficientvim_m1"),
    "EfficientViT (MIT)": _timm("efficientvit_b0"),
    "EfficientViT (MSRA)": _timm("efficientvit_m0", 224),
    "EVA": _timm("eva_giant_patch14_224", 56, **(VIT | {"img_size": 56})),
    "EVA-02": _timm("eva02_tiny_patch14_224", 56, img_size=56, depth=2),
    "FasterNet": _timm("fasternet_t0"),
    "FastViT": _timm("fastvit_t8", layers=(1, 1, 1, 1)),
    "FocalNet": _timm("focalnet_tiny_srf"),
    "GC ViT": _timm("gcvit_xxtiny", 224),
    "GhostNet": _timm("ghostnet_050"),
    "GhostNet V2": _timm("ghostnetv2_100"),
    "HardCoRe-NAS": _timm("hardcorenas_a"),
    "HGNet V2": _timm("hgnetv2_b0"),
    "Hiera": _timm("hiera_tiny_224", img_size=(64, 64), embed_dim=24, stages=(1, 1, 1, 1)),
    "InceptionNeXt": _timm("inception_next_atto", depths=(1, 1, 1, 1)),
    "LeViT": _timm("levit_128s", 224),
    "MambaOut": _timm("test_mambaout"),
    "CoAtNet": _timm("coatnet_nano_rw_224", 64, img_size=64, depths=(1, 1, 1, 1)),
    "MaxViT": _timm("maxvit_rmlp_pico_rw_256", 64, img_size=64),
    "PoolFormer": _timm("poolformer_s12"),
    "CAFormer": _timm("caformer_s18"),
    "MLP-Mixer": _timm("mixer_s32_224", img_size=64),
    "gMLP": _timm("gmlp_ti16_224", img_size=64),
    "ResMLP": _timm("resmlp_12_224", img_size=64),
    "MobileNet V3": _timm("mobilenetv3_small_050"),
    "MobileNet V4": _timm("mobilenetv4_conv_small_050"),
    "MobileNet V4 hybrid": _timm("mobilenetv4_hybrid_medium", 64),
    "LCNet": _timm("lcnet_035"),
    "FBNet V3": _timm("fbnetv3_b"),
    "MobileViT": _timm("mobilevit_xxs"),
    "MobileViT V2": _timm("mobilevitv2_050"),
    "MViT V2": _timm("mvitv2_tiny", img_size=64),
    "NaFlexViT": _timm("naflexvit_base_patch16_gap", depth=2, embed_dim=96, num_heads=3),
    "NesT": _timm("nest_tiny", img_size=64),
    "NextViT": _timm("nextvit_small"),
    "NFNet": _timm("nfnet_l0"),
    "PiT": _timm("pit_ti_224", img_size=64, depth=(1, 1, 1)),
    "PVT V2": _timm("pvt_v2_b0"),
    "RDNet": _timm("rdnet_tiny"),
    "RegNet": _timm("regnety_002"),
    "RepGhostNet": _timm("repghostnet_050"),
    "RepViT": _timm("repvit_m0_9"),
    "Res2Net": _timm("res2net50_14w_8s", 32),
    "ResNeSt": _timm("resnest14d"),
    "ResNet (timm)": _timm("test_resnet"),
    "ECA-ResNet": _timm("ecaresnet26t", 32),
    "ResNet V2": _timm("resnetv2_18"),
    "BiT": _timm("resnetv2_50x1_bit", 32),
    "ReXNet": _timm("rexnet_100"),
    "SelecSLS": _timm("selecsls42"),
    "SE-ResNet": _timm("legacy_seresnet18"),
    "Sequencer": _timm(
        "sequencer2d_s",
        img_size=56,
        layers=(1, 1, 1, 1),
        embed_dims=(24, 48, 48, 48),
        hidden_sizes=(6, 12, 12, 12),
    ),
    "SHViT": _timm("shvit_s1", 128),
    "SKNet": _timm("skresnet18"),
    "StarNet": _timm("starnet_s050"),
    "SwiftFormer": _timm("swiftformer_xs"),
    "Swin": _timm(
        "swin_tiny_patch4_window7_224",
        56,
        img_size=56,
        window_size=7,
        depths=(2, 2),
        num_heads=(2, 2),
        embed_dim=24,
    ),
    "Swin V2": _timm(
        "swinv2_tiny_window8_256", img_size=64, depths=(2, 2), num_heads=(2, 2), embed_dim=24
    ),
    "Swin V2 CR": _timm(
        "swinv2_cr_tiny_224",
        img_size=64,
        window_size=(4, 4),
        depths=(2, 2),
        num_heads=(2, 2),
        embed_dim=24,
    ),
    "TNT": _timm("tnt_s_patch16_224", img_size=64, depth=2, embed_dim=96),
    "TResNet": _timm("tresnet_m"),
    "Twins": _timm("twins_svt_small", img_size=64, depths=(1, 1, 1, 1)),
    "Visformer": _timm("visformer_tiny", img_size=64, depth=(1, 1, 1)),
    "ViT (timm)": _timm("test_vit"),
    "ViT registers": _timm("test_vit4"),
    "ViT hybrid": _timm("vit_tiny_r_s16_p8_224", img_size=64, depth=2),
    "ViT relative": _timm("vit_relpos_small_patch16_224", **VIT),
    "SigLIP": _timm("vit_base_patch16_siglip_224", **VIT),
    "SAM ViT": _timm(
        "samvit_base_patch16_224",
        img_size=64,
        depth=2,
        embed_dim=96,
        num_heads=3,
        global_attn_indexes=(1,),
    ),
    "ViTamin": _timm("vitamin_small_224", 64, img_size=64),
    "VOLO": _timm("volo_d1_224", img_size=64),
    "VoVNet": _timm("ese_vovnet19b_slim_dw"),
    "Xception": _timm("legacy_xception"),
    "Xception aligned": _timm("xception41"),
    "XCiT": _timm("xcit_nano_12_p16_224", img_size=64, depth=2),
}

# ----------------------------------------------------------------------- transformers

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 50,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PICTURE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}


def _hub(
    model: str, config: str, example: Callable[[], Any], attention: str = "", **sizes: Any
) -> Family:
    def make() -> tuple[nn.Module, Any]:
        transformers = importlib.import_module("transformers")
        settings = getattr(transformers, config)(**sizes)
        if attention:
            settings._attn_implementation = attention
        return getattr(transformers, model)(settings), example()

    return Family("transformers", make)


def _words() -> Any:
    return {"input_ids": _tokens(), "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 0, 0]])}


def _causal() -> Any:
    return {"input_ids": _tokens(), "use_cache": False}


def _pair() -> Any:
    return {"input_ids": _tokens(), "decoder_input_ids": _tokens(4), "use_cache": False}


def _pixels() -> Any:
    return {"pixel_values": _image(32)}


LLAMA = SMALL | {"num_key_value_heads": 2, "head_dim": 8}
HUB = {
    "BERT": _hub("BertForSequenceClassification", "BertConfig", _words, "sdpa", **SMALL),
    "BERT eager": _hub("BertForSequenceClassification", "BertConfig", _words, "eager", **SMALL),
    "RoBERTa": _hub("RobertaForSequenceClassification", "RobertaConfig", _words, **SMALL),
    "DistilBERT": _hub(
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        _words,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=48,
        vocab_size=50,
    ),
    "ALBERT": _hub(
        "AlbertForSequenceClassification", "AlbertConfig", _words, embedding_size=16, **SMALL
    ),
    "ELECTRA": _hub(
        "ElectraForSequenceClassification", "ElectraConfig", _words, embedding_size=16, **SMALL
    ),
    "DeBERTa V2": _hub(
        "DebertaV2ForSequenceClassification",
        "DebertaV2Config",
        _words,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        max_position_embeddings=16,
        **SMALL,
    ),
    "MPNet": _hub("MPNetForSequenceClassification", "MPNetConfig", _words, **SMALL),
    "Funnel": _hub(
        "FunnelForSequenceClassification",
        "FunnelConfig",
        _words,
        block_sizes=[1, 1],
        d_model=32,
        n_head=4,
        d_head=8,
        d_inner=48,
        vocab_size=50,
        num_decoder_layers=1,
    ),
    "FNet": _hub(
        "FNetForSequenceClassification",
        "FNetConfig",
        lambda: {"input_ids": _tokens()},
        **{k: v for k, v in SMALL.items() if k != "num_attention_heads"},
    ),
    "ModernBERT": _hub(
        "ModernBertForSequenceClassification", "ModernBertConfig", _words, "sdpa", **SMALL
    ),
    "XLNet": _hub(
        "XLNetForSequenceClassification",
        "XLNetConfig",
        lambda: {"input_ids": _tokens()},
        d_model=32,
        n_layer=2,
        n_head=4,
        d_inner=48,
        vocab_size=50,
    ),
    "T5": _hub(
        "T5Model",
        "T5Config",
        _pair,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        vocab_size=50,
    ),
    "BART": _hub(
        "BartModel",
        "BartConfig",
        _pair,
        "sdpa",
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        vocab_size=50,
    ),
    "GPT-2": _hub(
        "GPT2LMHeadModel",
        "GPT2Config",
        _causal,
        "sdpa",
        n_embd=32,
        n_layer=2,
        n_head=4,
        vocab_size=50,
    ),
    "GPT-2 eager": _hub(
        "GPT2LMHeadModel",
        "GPT2Config",
        _causal,
        "eager",
        n_embd=32,
        n_layer=2,
        n_head=4,
        vocab_size=50,
    ),
    "GPT-NeoX": _hub("GPTNeoXForCausalLM", "GPTNeoXConfig", _causal, **SMALL),
    "GPT-J": _hub(
        "GPTJForCausalLM",
        "GPTJConfig",
        _causal,
        n_embd=32,
        n_layer=2,
        n_head=4,
        rotary_dim=4,
        vocab_size=50,
    ),
    "OPT": _hub(
        "OPTForCausalLM",
        "OPTConfig",
        _causal,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=48,
        vocab_size=50,
        word_embed_proj_dim=32,
    ),
    "BLOOM": _hub(
        "BloomForCausalLM",
        "BloomConfig",
        _causal,
        hidden_size=32,
        n_layer=2,
        n_head=4,
        vocab_size=50,
    ),
    "Llama": _hub("LlamaForCausalLM", "LlamaConfig", _causal, "sdpa", **LLAMA),
    "Llama eager": _hub("LlamaForCausalLM", "LlamaConfig", _causal, "eager", **LLAMA),
    "Mistral": _hub("MistralForCausalLM", "MistralConfig", _causal, **LLAMA),
    "Qwen 3": _hub("Qwen3ForCausalLM", "Qwen3Config", _causal, **LLAMA),
    "Gemma 2": _hub("Gemma2ForCausalLM", "Gemma2Config", _causal, **LLAMA),
    "Phi": _hub("PhiForCausalLM", "PhiConfig", _causal, **SMALL),
    "Mixtral": _hub("MixtralForCausalLM", "MixtralConfig", _causal, num_local_experts=2, **LLAMA),
    "Mamba": _hub(
        "MambaForCausalLM",
        "MambaConfig",
        _causal,
        hidden_size=16,
        num_hidden_layers=1,
        state_size=4,
        vocab_size=50,
    ),
    "Mamba 2": _hub(
        "Mamba2ForCausalLM",
        "Mamba2Config",
        _causal,
        hidden_size=16,
        num_hidden_layers=1,
        state_size=4,
        vocab_size=50,
        num_heads=4,
        head_dim=8,
        n_groups=1,
        chunk_size=4,
    ),
    "RWKV": _hub(
        "RwkvForCausalLM",
        "RwkvConfig",
        _causal,
        hidden_size=16,
        attention_hidden_size=16,
        num_hidden_layers=2,
        vocab_size=50,
    ),
    "ViT": _hub("ViTForImageClassification", "ViTConfig", _pixels, **PICTURE),
    "CLIP vision": _hub("CLIPVisionModel", "CLIPVisionConfig", _pixels, **PICTURE),
    "DINOv2": _hub("Dinov2ForImageClassification", "Dinov2Config", _pixels, **PICTURE),
    "SegFormer": _hub(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        lambda: {"pixel_values": _image(64)},
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    ),
    "Perceiver": _hub(
        "PerceiverModel",
        "PerceiverConfig",
        lambda: {"inputs": torch.rand(1, 6, 12)},
        num_latents=4,
        d_latents=16,
        d_model=12,
        num_blocks=1,
        num_self_attends_per_block=1,
        num_self_attention_heads=2,
        num_cross_attention_heads=2,
    ),
    "wav2vec 2": _hub(
        "Wav2Vec2ForSequenceClassification",
        "Wav2Vec2Config",
        lambda: {"input_values": torch.rand(1, 800)},
        conv_dim=(8, 8, 8),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        **SMALL,
    ),
    "Whisper encoder": _hub(
        "WhisperForAudioClassification",
        "WhisperConfig",
        lambda: {"input_features": torch.rand(1, 8, 40)},
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        num_mel_bins=8,
        max_source_positions=20,
        vocab_size=50,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=48,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    ),
    "PatchTST": _hub(
        "PatchTSTForPrediction",
        "PatchTSTConfig",
        lambda: {"past_values": torch.rand(1, 32, 2)},
        num_input_channels=2,
        context_length=32,
        patch_length=8,
        patch_stride=8,
        d_model=16,
        num_attention_heads=2,
        num_hidden_layers=2,
        ffn_dim=24,
        prediction_length=4,
    ),
}

# -------------------------------------------------------------------- torch_geometric


class _Nodes(nn.Module):
    """Two layers on a graph, and a readout of every node."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Scores of every node."""
        hidden = torch.relu(self.first(x, edge_index))
        scores: Tensor = self.second(hidden, edge_index)
        return scores


def _graph() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn((6, 5), generator=generator)
    edges = [[0, 1, 2, 3, 4, 5, 0, 2, 5, 1], [1, 2, 3, 4, 5, 0, 3, 5, 2, 0]]
    return x, torch.tensor(edges)


def _geometric(name: str, *, mlp: bool = False, heads: int = 1, **more: Any) -> Family:
    def make() -> tuple[nn.Module, Any]:
        layer = getattr(importlib.import_module("torch_geometric.nn"), name)
        sizes = (5, 8, 3)
        if mlp:
            parts = [
                layer(nn.Sequential(nn.Linear(a, 8), nn.ReLU(), nn.Linear(8, b)), **more)
                for a, b in itertools.pairwise(sizes)
            ]
        elif heads > 1:
            parts = [layer(5, 8, heads=heads, **more), layer(8 * heads, 3, **more)]
        else:
            parts = [layer(a, b, **more) for a, b in itertools.pairwise(sizes)]
        return _Nodes(*parts), _graph()

    return Family("torch_geometric", make)


GEOMETRIC = {
    "GCN": _geometric("GCNConv"),
    "GraphSAGE": _geometric("SAGEConv"),
    "GraphSAGE max": _geometric("SAGEConv", aggr="max"),
    "GIN": _geometric("GINConv", mlp=True),
    "GAT": _geometric("GATConv", heads=2),
    "GATv2": _geometric("GATv2Conv", heads=2),
    "GraphConv": _geometric("GraphConv"),
    "ChebConv": _geometric("ChebConv", K=3),
    "TAGConv": _geometric("TAGConv"),
    "SGConv": _geometric("SGConv", K=2),
    "ARMA": _geometric("ARMAConv"),
    "Transformer conv": _geometric("TransformerConv", heads=2),
}

# ------------------------------------------------------------------------------ torch


def _plain(make: Callable[[], nn.Module], example: Callable[[], Any]) -> Family:
    return Family("torch", lambda: (make(), example()))


class _Function(nn.Module):
    """Parts by name, and what to do with them."""

    def __init__(self, forward: Callable[..., Any], **parts: Any):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The function, of the module and its arguments."""
        return self.function(self, *args, **kwargs)


def _vgg() -> nn.Module:
    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]

    features = [*block(3, 8), *block(8, 16), *block(16, 16)]
    head = [nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10)]
    return nn.Sequential(*features, *head)


def _residual(a: int, b: int, stride: int) -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))

    body = nn.Sequential(
        nn.Conv2d(a, b, 3, stride, 1, bias=False),
        nn.BatchNorm2d(b),
        nn.ReLU(inplace=True),
        nn.Conv2d(b, b, 3, padding=1, bias=False),
        nn.BatchNorm2d(b),
    )
    skip: nn.Module = nn.Identity()
    if stride != 1:
        skip = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))
    return _Function(forward, body=body, skip=skip)


def _resnet() -> nn.Module:
    stem = [nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    blocks = [_residual(8, 8, 1), _residual(8, 16, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *blocks, *head)


def _densenet() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        seen = [self.stem(x)]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, 1)))
        return self.head(torch.cat(seen, 1))  # type: ignore[no-any-return]

    def layer(n: int) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, 4, 3, padding=1))

    return _Function(
        forward,
        stem=nn.Conv2d(3, 8, 3, padding=1),
        layers=nn.ModuleList([layer(8), layer(12), layer(16)]),
        head=nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(20 * 64, 10)),
    )


def _mobilenet() -> nn.Module:
    def block(n: int) -> nn.Module:
        return _Function(
            lambda self, x: x + self.body(x),
            body=nn.Sequential(
                *(nn.Conv2d(n, 4 * n, 1), nn.BatchNorm2d(4 * n), nn.ReLU6()),
                *(nn.Conv2d(4 * n, 4 * n, 3, padding=1, groups=4 * n), nn.BatchNorm2d(4 * n)),
                *(nn.ReLU6(), nn.Conv2d(4 * n, n, 1), nn.BatchNorm2d(n)),
            ),
        )

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), block(8), block(8), *head)


def _unet() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        a = F.relu(self.down(x))
        b = F.relu(self.deep(F.max_pool2d(a, 2)))
        return self.end(torch.cat([self.up(b), a], 1))  # type: ignore[no-any-return]

    return _Function(
        forward,
        down=nn.Conv2d(3, 8, 3, padding=1),
        deep=nn.Conv2d(8, 16, 3, padding=1),
        up=nn.ConvTranspose2d(16, 8, 2, 2),
        end=nn.Conv2d(16, 2, 1),
    )


def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.Sequential(nn.Linear(5, 16), nn.TransformerEncoder(layer, 2), nn.Linear(16, 3))


def _seq2seq() -> nn.Module:
    return nn.Transformer(16, 4, 1, 1, 32, batch_first=True)


def _recurrent(kind: Any, **more: Any) -> nn.Module:
    width = 8 * (2 if more.get("bidirectional") else 1)
    return _Function(
        lambda self, x: self.head(self.core(x)[0][:, -1]),
        core=kind(5, 8, batch_first=True, **more),
        head=nn.Linear(width, 3),
    )


def _dense_gcn() -> nn.Module:
    def forward(self: Any, x: Tensor, a: Tensor) -> Tensor:
        return self.second(a @ torch.relu(self.first(a @ x)))  # type: ignore[no-any-return]

    return _Function(forward, first=nn.Linear(5, 8), second=nn.Linear(8, 3))


def _adjacency() -> Tensor:
    _, edges = _graph()
    a = torch.zeros(6, 6)
    a[edges[1], edges[0]] = 1.0
    return a


def _dense_gcn_held() -> nn.Module:
    model = _dense_gcn()
    model.register_buffer("a", _adjacency())
    model.function = lambda self, x: self.second(self.a @ torch.relu(self.first(self.a @ x)))
    return model


def _text() -> nn.Module:
    return _Function(
        lambda self, ids: self.head(self.core(self.table(ids))[0][:, -1]),
        table=nn.Embedding(50, 6),
        core=nn.LSTM(6, 8, batch_first=True),
        head=nn.Linear(8, 2),
    )


def _sequence() -> Tensor:
    return torch.rand((1, 6, 5), generator=torch.Generator().manual_seed(SEED))


def _two_sequences() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    return torch.rand((1, 5, 16), generator=generator), torch.rand((1, 4, 16), generator=generator)


TORCH = {
    "VGG": _plain(_vgg, lambda: _image(32)),
    "ResNet": _plain(_resnet, lambda: _image(32)),
    "DenseNet": _plain(_densenet, lambda: _image(32)),
    "MobileNet V2": _plain(_mobilenet, lambda: _image(32)),
    "U-Net": _plain(_unet, lambda: _image(32)),
    "Transformer encoder": _plain(_encoder, _sequence),
    "nn.Transformer": _plain(_seq2seq, _two_sequences),
    "RNN": _plain(lambda: _recurrent(nn.RNN), _sequence),
    "LSTM": _plain(lambda: _recurrent(nn.LSTM, num_layers=2), _sequence),
    "LSTM both ways": _plain(lambda: _recurrent(nn.LSTM, bidirectional=True), _sequence),
    "GRU": _plain(lambda: _recurrent(nn.GRU), _sequence),
    "LSTM on words": _plain(_text, _tokens),
    "dense GCN": _plain(_dense_gcn_held, lambda: _graph()[0]),
    "dense GCN, matrix given": _plain(_dense_gcn, lambda: (_graph()[0], _adjacency())),
}

FAMILIES: dict[str, Family] = {**TORCH, **GEOMETRIC, **HUB, **TIMM}

#: Families of which something is not counted, and the operators that the warning names.
WARNED: dict[str, tuple[str, ...]] = {
    "CAFormer": ("square",),
    "ConViT": ("div",),
    "EfficientNet EvoNorm": ("var", "sqrt", "div"),
    "EfficientViT (MIT)": ("div",),
    "Mamba": ("exp",),
    "Mamba 2": ("exp",),
    "PatchTST": ("pow", "sqrt", "div"),
    "RWKV": ("exp", "div", "square"),
}
#: What a label adds to the name of a parameter: its rows, the number of a further use.
SUFFIX = re.compile(r"(\[[^\]]*\])?( \(use \d+\))?$")
BLOCK = re.compile(r"(?<=<!-- zoo:begin -->\n).*?(?=<!-- zoo:end -->)", re.S)


def measure(family: Family) -> tuple[nn.Module, Complexity, list[str]]:
    """A model of the family, its norm, and the warnings about what is not counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about themselves
        model, example = family.build()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = spectral_complexity(model, example=example)
    told = [str(w.message) for w in caught if issubclass(w.category, UncountedLayerWarning)]
    return model, found, told


def _row(name: str, family: Family) -> str:
    start = time.process_time()
    model, found, told = measure(family)
    seconds = time.process_time() - start
    counted = found.layers[found.layers["counted"]]
    parameters = dict(model.named_parameters())
    labels = {SUFFIX.sub("", part) for label in counted["name"] for part in label.split(" with ")}
    numbers = sum(parameters[key].numel() for key in labels & set(parameters))
    total = sum(parameter.numel() for parameter in parameters.values())
    why = "; ".join(told) or "-"
    cells = (name, family.library, f"{total}", f"{numbers / total:.1%}", f"{found.log_value:.4g}")
    print(f"{name}: {seconds:.1f} s of processor", file=sys.stderr)
    return f"| {' | '.join(cells)} | {why} |"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--library", help="Only the families of this package.")
@click.option("--update", type=click.Path(path_type=Path), help="Write the table into this page.")
def main(names: tuple[str, ...], library: str | None, update: Path | None) -> None:
    """Print a table of the families of NAMES, of all that can be built without any."""
    torch.set_num_threads(1)
    chosen = {
        name: family
        for name, family in FAMILIES.items()
        if (not names or name in names) and library in (None, family.library)
    }
    rows = [
        "| family | package | parameters | in the table as counted | ln R | warned |",
        "|---|---|---:|---:|---:|---|",
    ]
    for name, family in chosen.items():
        reason = missing(family)
        if reason:
            print(f"{name}: {reason}", file=sys.stderr)
        else:
            rows.append(_row(name, family))
    table = "\n".join(rows)
    if update is None:
        print(table)
    else:
        page = update.read_text(encoding="utf-8")
        replace_file(str(update), BLOCK.sub(lambda _: f"\n{table}\n\n", page))


if __name__ == "__main__":
    main()
