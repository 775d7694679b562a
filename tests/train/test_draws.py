import pytest
import torch

from hale.train.draws import Draw, batch_of


def drawn(rank: int, processes: int, count: int) -> torch.Tensor:
    """Return what one of several processes draws for its slices, three numbers each."""
    batch = batch_of(Draw(10 + rank, 7, rank, processes), count)
    torch.randint(5, (batch.size,), generator=batch.draw)
    return torch.randn(batch.size, 3, generator=batch.draw)[batch.mine]


@pytest.mark.parametrize("processes", [1, 2, 3, 6])
def test_a_slice_is_drawn_the_same_whoever_has_it(processes):
    """Process 1 of 3 has slices 1 and 4 of 6: as `draw` of a step shares the indices."""
    alone = drawn(0, 1, 6)
    for rank in range(processes):
        torch.testing.assert_close(
            drawn(rank, processes, 6 // processes), alone[rank::processes], rtol=0, atol=0
        )


def test_used_as_it_is_it_draws_something_else_in_each_process():
    one, two = (torch.randn(4, generator=Draw(10 + rank, 7, rank, 2)) for rank in (0, 1))
    assert not torch.equal(one, two)
    plain = torch.Generator().manual_seed(10)
    assert torch.equal(torch.randn(4, generator=plain), one)


def test_any_other_generator_draws_for_one_process():
    draw = torch.Generator().manual_seed(0)
    batch = batch_of(draw, 5)
    assert batch.draw is draw
    assert torch.arange(batch.size)[batch.mine].tolist() == [0, 1, 2, 3, 4]
