"""The baseline: the progressive GAN as one would write it first, from the same papers and with the same weights.

Nearest-neighbour doubling, then a 3x3 convolution; a 3x3 convolution, then a 2x2 mean; NCHW; weights scaled in every
call; activation and norm as single operations; real, synthetic and mixed images through the critic one after another;
new synthetic images for the generator's step; torch's own threads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from radcommons.gan.batches import TrainingBatch
from radcommons.gan.recipes.progan.losses import label_loss, mix, penalty, wasserstein_loss
from radcommons.models.families.family import resolutions_up_to
from radcommons.models.families.progan import Critic, GeneratorNetwork
from radcommons.models.layers import downsample, minibatch_stddev, upsample


def conv(layer: torch.nn.Module, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight * layer.scale, layer.bias, padding=layer.weight.shape[-1] // 2)


def norm(x: Tensor) -> Tensor:
    return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def generate(net: GeneratorNetwork, latents: Tensor, labels: Tensor, resolution: int) -> Tensor:
    """What `GeneratorNetwork.forward` computes at fade 1."""
    x = norm(torch.cat([latents, labels], dim=1))
    x = F.linear(x, net.dense.weight * net.dense.scale).unflatten(1, (-1, 4, 4))
    x = norm(leaky(x + net.dense.bias.view(1, -1, 1, 1)))
    x = norm(leaky(conv(net.conv, x)))
    for step in resolutions_up_to(resolution)[1:]:
        block = net.blocks[str(step)]
        x = norm(leaky(conv(block.up, upsample(x))))
        x = norm(leaky(conv(block.conv, x)))
    return conv(net.to_rgb[str(resolution)], x)


def judge(net: Critic, images: Tensor) -> tuple[Tensor, Tensor]:
    """What `Critic.forward` computes at fade 1."""
    resolution = images.shape[-1]
    x = leaky(conv(net.from_rgb[str(resolution)], images))
    for step in reversed(resolutions_up_to(resolution)[1:]):
        block = net.blocks[str(step)]
        x = leaky(conv(block.conv, x))
        x = leaky(downsample(conv(block.down, x)))
    x = leaky(conv(net.conv, minibatch_stddev(x)))
    x = leaky(F.linear(x.flatten(1), net.dense.weight * net.dense.scale, net.dense.bias))
    x = F.linear(x, net.output.weight * net.output.scale, net.output.bias)
    return x[:, 0], x[:, 1:]


def train_step(
    generator: GeneratorNetwork,
    critic: Critic,
    optimisers: dict[str, torch.optim.Adam],
    batch: TrainingBatch,
    other: TrainingBatch,
    resolution: int,
) -> dict[str, float]:
    """One critic step, one generator step, without the moving average; `other` has the generator's latents."""
    with torch.no_grad():
        fake = generate(generator, batch.latents, batch.fake_labels, resolution)
    real_scores, logits = judge(critic, batch.images)
    fake_scores, _ = judge(critic, fake)
    between = mix(batch.images, fake, batch.mix_weights).requires_grad_(True)
    scores, _ = judge(critic, between)
    (gradients,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    norms = gradients.flatten(1).norm(dim=1)
    loss = (
        wasserstein_loss(real_scores, fake_scores, 0.001) + label_loss(logits, batch.real_labels) + penalty(norms, 10.0)
    )
    optimisers["critic"].zero_grad()
    loss.mean().backward()
    optimisers["critic"].step()

    scores, logits = judge(critic, generate(generator, other.latents, other.fake_labels, resolution))
    generator_loss = (label_loss(logits, other.fake_labels) - scores).mean()
    optimisers["generator"].zero_grad()
    generator_loss.backward()
    optimisers["generator"].step()
    return {"critic_loss": float(loss.detach().mean()), "generator_loss": float(generator_loss.detach())}
