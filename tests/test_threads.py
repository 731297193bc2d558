import threading
import time

import pytest
import torch

from radcommons.threads import open_pool, thread_map, threads_for


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads: int) -> None:
    def slow_for_the_first(i: int) -> int:
        time.sleep(0.05 if i == 0 else 0)
        return i * i

    assert list(thread_map(slow_for_the_first, range(20), threads=threads)) == [i * i for i in range(20)]


def test_no_more_than_two_items_a_thread_are_ahead_of_the_caller() -> None:
    begun: list[int] = []
    results = thread_map(lambda i: begun.append(i) or i, range(100), threads=2)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(begun) <= 5
    results.close()
    assert len(begun) <= 5, "the rest is given up with the caller"


def test_an_error_reaches_the_caller_in_its_turn() -> None:
    def fails_at_three(i: int) -> int:
        if i == 3:
            raise ValueError("three")
        return i

    results = thread_map(fails_at_three, range(10), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_each_thread_runs_torch_on_one_core() -> None:
    def where(_: int) -> tuple[int, int]:
        return torch.get_num_threads(), threading.get_ident()

    assert {cores for cores, _ in thread_map(where, range(8), threads=2)} == {1}


def test_a_pool_runs_its_parts_at_once() -> None:
    meeting = threading.Barrier(3, timeout=60)
    with open_pool(3) as pool:
        for _ in range(2):  # the threads are those of before
            assert sorted(pool.map(lambda _: meeting.wait(), range(3))) == [0, 1, 2]


def test_one_thread_reads_ahead_while_the_caller_works() -> None:
    second = threading.Event()
    with open_pool(1, with_torch=False) as reader:
        results = reader.map(lambda i: second.set() if i == 1 else None, range(3), ahead=1)
        next(results)
        assert second.wait(60)


def test_there_are_no_more_threads_than_items_and_one_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [threads_for(n, cpu) for n in (0, 3, 9)] == [1, 3, 4]
    assert threads_for(9, gpu) == 1
