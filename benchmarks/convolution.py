"""Claim: the form chosen for each 3x3 layer is the fastest of those there are: plain, folded, Winograd's.

One core, the layers of the paper's networks and of progan-64; forward, towards the input and towards the weight
together. The rule under test is `make_kernel`'s.
"""

import torch
import torch.nn.functional as F
from support.measuring import ROUNDS, matrix_product_rate, save, seconds_of

from radcommons.models.cpu import winograd
from radcommons.models.cpu.convolution import Kernel, convolve, make_kernel
from radcommons.models.layers import downsample, upsample
from radcommons.models.scaled_convolution import fold

LAYERS = [  # images, inputs, outputs, side of the larger image, up, down
    (16, 512, 512, 4, 1, 1),
    (16, 96, 96, 4, 1, 1),
    (16, 512, 512, 8, 1, 1),
    (4, 512, 512, 16, 1, 1),
    (2, 512, 512, 32, 1, 1),
    (1, 256, 256, 64, 1, 1),
    (1, 512, 256, 64, 2, 1),
    (1, 256, 512, 64, 1, 2),
    (1, 128, 128, 128, 1, 1),
    (1, 64, 64, 256, 1, 1),
    (1, 128, 64, 256, 2, 1),
    (1, 64, 32, 256, 2, 1),
    (1, 32, 32, 256, 1, 1),
    (1, 16, 16, 512, 1, 1),
    (16, 96, 64, 16, 2, 1),
    (16, 64, 64, 16, 1, 1),
    (16, 32, 32, 32, 1, 1),
    (16, 16, 16, 64, 1, 1),
    (16, 16, 32, 64, 1, 2),
]


def measure(n: int, inputs: int, outputs: int, side: int, up: int, down: int) -> dict[str, object]:
    torch.manual_seed(0)
    x = torch.randn(n, inputs, side // up, side // up).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5, torch.zeros(outputs)
    gradient = torch.randn(n, outputs, side // down, side // down).contiguous(memory_format=torch.channels_last)

    def plainly(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        y = F.conv2d(upsample(x) if up == 2 else x, weight, bias, padding=1)
        return downsample(y) if down == 2 else y

    kernels = {
        "folded": Kernel(fold(weight, up=up, down=down), False, 1.0, up, down, 1.0),
        "winograd": Kernel(winograd.transform_weight(weight, 1.0), True, 1.0, up, down, 1.0),
    }
    forms = {
        "plain": (x.contiguous(), gradient.contiguous(), plainly),
        **{name: (x, gradient, lambda x, w, k=k: convolve(x, w, bias, k)) for name, k in kernels.items()},
    }
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for round_number in range(ROUNDS + 1):
        for name, (image, towards, form) in forms.items():

            def once(image: torch.Tensor = image, towards: torch.Tensor = towards, form=form) -> None:
                leaf, parameter = image.detach().requires_grad_(), weight.detach().requires_grad_()
                torch.autograd.grad(form(leaf, parameter), (leaf, parameter), towards)

            took = seconds_of(once)
            if round_number:
                seconds[name].append(took)
    middle = {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}
    chosen = "winograd" if make_kernel(weight, 1.0, side=side // up, up=up, down=down, leak=1.0).winograd else "folded"
    fastest = min(middle, key=lambda name: middle[name])
    return {
        "images": n,
        "layer": f"{inputs}->{outputs} at {side}" + (" up" if up == 2 else " down" if down == 2 else ""),
        **{f"{name} ms": value * 1e3 for name, value in middle.items()},
        "plain GFLOP/s": 3 * 2 * 9 * inputs * outputs * side**2 * n / middle["plain"] / 1e9,
        "chosen": chosen,
        "plain / chosen": middle["plain"] / middle[chosen],
        "chosen / fastest": middle[chosen] / middle[fastest],
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = [measure(*layer) for layer in LAYERS]
    save("convolution", __doc__.splitlines()[0], rows, matrix_product_gflops=matrix_product_rate() / 1e9)


if __name__ == "__main__":
    main()
