"""Images an hour of both families at the sides of the paper: as shipped, and the network alone in several ways.

The network alone: latents drawn on the device, grey levels copied to memory. Every way's images are compared with those
in fp32. Convolutions in "fp32" are TF32 on a GPU that has it, which is torch's default. Compiling comes last: it takes
longest, and needs a compiler.
"""

import time
from collections.abc import Callable, Iterator

import torch
from support.random_generators import PAPER_AN_HOUR, random_generator
from torch import Tensor

from gpu_parts.results import Results, arguments, error_line, wait
from radcommons.models.families.family import parameter_count
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.grey_levels import to_bytes

Draw = Callable[[Tensor, Tensor], Tensor]  # latents, labels -> uint8 (n, 1, R, R) on the device
FAMILIES = ("progan", "rgan")
SECONDS = 1.5  # of each measurement
TO_COMPILE = 30.0  # seconds that must be left before another network is compiled


def plainly(generator: Generator) -> Draw:
    return lambda latents, labels: to_bytes(generator.network(latents, labels))


def mixed(generator: Generator) -> Draw:
    """bf16 with channels last; changes the network's memory layout."""
    network = generator.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kind = generator.device.type

    def draw(latents: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(kind, torch.bfloat16, cache_enabled=False):  # a graph must not hold what the cache frees
            image = network(latents, labels)
        return to_bytes(image)

    return draw


def graphed(draw: Draw, latents: Tensor, labels: Tensor) -> Draw:
    """The same as one CUDA graph."""
    fixed, side = (latents.clone(), labels.clone()), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            draw(*fixed)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        images = draw(*fixed)

    def replay(latents: Tensor, labels: Tensor) -> Tensor:
        fixed[0].copy_(latents)
        fixed[1].copy_(labels)
        graph.replay()
        return images

    return replay


def ways(generator: Generator, latents: Tensor, labels: Tensor) -> Iterator[tuple[str, Draw | Exception]]:
    """Each way to draw, prepared; an exception where it cannot be done here."""
    yield "fp32", plainly(generator)
    half = mixed(generator)
    yield "bf16, channels last", half
    try:
        if generator.device.type != "cuda":
            raise NotImplementedError("a CPU has no CUDA graphs")
        yield "the same as a CUDA graph", graphed(half, latents, labels)
    except Exception as error:
        yield "the same as a CUDA graph", error


def rate(draw: Callable[[], int], device: torch.device, seconds: float) -> float:
    """Images a second of what draws some and says how many."""
    for _ in range(2):
        draw()
    wait(device)
    images, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        images += draw()
    wait(device)
    return images / (time.perf_counter() - started)


def as_shipped(generator: Generator, seconds: float) -> float:
    """Images a second of `Generator.batches`, which draws latents and labels of each image from a stream of its own."""
    stream = generator.batches(10**9, choice=LabelChoice(given={}), seed=0)
    found = rate(lambda: len(next(stream).images), generator.device, seconds)
    stream.close()  # type: ignore[attr-defined]
    return found


def measure(results: Results, resolution: int, family: str, *, device: str, toy: bool, compiled: bool) -> None:
    most_channels = 8 if toy else 512
    generator = random_generator(resolution, family, device, most_channels)
    seconds, where = (0.05 if toy else SECONDS), generator.device
    about = {
        "family": family,
        "resolution": resolution,
        "batch": generator.block_size,
        "parameters": parameter_count(generator.network),
    }
    paper = PAPER_AN_HOUR.get(resolution)

    def add(way: str, images: float, **more: object) -> None:
        times = images * 3600 / paper if paper else None
        results.add({**about, "way": way, "an hour": images * 3600, "times the paper's P100": times, **more})

    latents = torch.randn(generator.block_size, generator.config.latent_size, device=where)
    labels = torch.zeros(generator.block_size, len(generator.findings), device=where)
    expected = plainly(generator)(latents, labels).cpu().float()
    if compiled:
        draw = torch.compile(mixed(generator), backend="eager" if toy else "inductor", dynamic=False)
        prepared: Iterator[tuple[str, Draw | Exception]] = iter([("bf16, channels last, compiled", draw)])
    else:
        prepared = ways(generator, latents, labels)
    for way, draw_or_error in prepared:
        try:
            if isinstance(draw_or_error, Exception):
                raise draw_or_error
            draw, started = draw_or_error, time.perf_counter()
            off = (draw(latents, labels).cpu().float() - expected).abs()
            first = time.perf_counter() - started

            def once(draw: Draw = draw) -> int:
                return len(draw(torch.randn_like(latents), labels).cpu())

            found = rate(once, where, seconds)
            add(way, found, grey_levels_off=float(off.mean()), most_off=float(off.max()), first_seconds=first)
        except Exception as error:
            results.add({**about, "way": way, "error": error_line(error)})
    if not compiled:
        add(
            "as shipped, with latents and labels",
            as_shipped(random_generator(resolution, family, device, most_channels), seconds),
        )


def main() -> None:
    options = arguments(__doc__)
    results = Results(options.out / "sampling.json", options.seconds)
    sides = (16,) if options.toy else tuple(PAPER_AN_HOUR)
    device = "cpu" if options.toy else "cuda"
    results.note(convolutions_in_tf32=torch.backends.cudnn.allow_tf32)
    with torch.no_grad():
        for compiled in (False, True):
            for resolution in sides:
                for family in FAMILIES:
                    if compiled and results.left < (0 if options.toy else TO_COMPILE):
                        results.add({"family": family, "resolution": resolution, "error": "not compiled: out of time"})
                        continue
                    try:
                        measure(results, resolution, family, device=device, toy=options.toy, compiled=compiled)
                    except Exception as error:  # out of memory, say: the next may do
                        results.add({"family": family, "resolution": resolution, "error": error_line(error)})


if __name__ == "__main__":
    main()
