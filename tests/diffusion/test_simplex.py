"""Checks 8, 9 and 11 of the specification: against the usual algorithm, one point at a time."""

from math import floor

import pytest
import torch

from hale.diffusion.simplex import OCTAVES, Octave, permutations, plane_of, simplex

STRETCH, SQUISH = -0.211324865405187, 0.366025403784439
UNIT = (Octave(period=1.0, amplitude=1.0),)
SEEDS = (0, 1234, -5, 2**62 + 17)


def usual_permutation(seed: int) -> list[int]:
    """Shuffle 0 to 255 as the published code does, in Python's unbounded numbers."""

    def advanced(state: int) -> int:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return state - 2**64 if state >= 2**63 else state

    state = advanced(advanced(advanced(seed)))
    source, found = list(range(256)), [0] * 256
    for i in reversed(range(256)):
        state = advanced(state)
        pick = (state + 31) % (i + 1)
        found[i] = source[pick]
        source[pick] = source[i]
    return found


def usual_noise(x: float, y: float, perm: list[int]) -> float:
    """Evaluate a point by cases: its cell's diagonal, its triangle's third vertex, a fourth."""
    stretch = (x + y) * STRETCH
    u, v = floor(x + stretch), floor(y + stretch)
    inner = x + stretch - u, y + stretch - v
    vertices = [(1, 0), (0, 1)]
    right = inner[0] > inner[1]
    if sum(inner) <= 1:
        vertices.append((0, 0))
        at_corner = 1 - sum(inner) > min(inner)
        vertices.append(((1, -1) if right else (-1, 1)) if at_corner else (1, 1))
    else:
        vertices.append((1, 1))
        at_corner = 2 - sum(inner) < max(inner)
        vertices.append(((2, 0) if right else (0, 2)) if at_corner else (0, 0))
    return sum(contribution(x, y, u + p, v + q, perm) for p, q in vertices) / 47


def contribution(x: float, y: float, u: int, v: int, perm: list[int]) -> float:
    dx, dy = x - u - (u + v) * SQUISH, y - v - (u + v) * SQUISH
    kernel = 2 - dx * dx - dy * dy
    gradients = [5, 2, 2, 5, -5, 2, -2, 5, 5, -2, 2, -5, -5, -2, -2, -5]
    index = perm[(perm[u & 255] + v) & 255] & 14
    along = gradients[index] * dx + gradients[index + 1] * dy
    return kernel**4 * along if kernel > 0 else 0.0


def test_permutation_is_the_usual_one():
    found = permutations(torch.tensor(SEEDS)).T.tolist()
    assert found == [usual_permutation(seed) for seed in SEEDS]
    assert all(sorted(perm) == list(range(256)) for perm in found)


def test_one_published_value():
    """The README of the package `opensimplex` 0.4.5 gives noise2(10, 10) of seed 1234."""
    found = simplex((11, 11), torch.tensor([1234]), octaves=UNIT, dtype=torch.float64)
    assert float(found[0, 10, 10]) == pytest.approx(0.580279369186297, abs=1e-14)
    assert usual_noise(10, 10, usual_permutation(1234)) == pytest.approx(0.580279369186297)


@pytest.mark.parametrize("period", [64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.7])
def test_an_octave_is_the_usual_noise(period):
    """Check 11; 1.7 pixels reach lattice places beyond those of the octaves that are used."""
    size, octave = (24, 96), (Octave(period=period, amplitude=1.0),)
    found = simplex(size, torch.tensor(SEEDS[1:3]), octaves=octave, dtype=torch.float64)
    for own, seed in zip(found, SEEDS[1:3], strict=True):
        perm = usual_permutation(seed)
        usual = [[usual_noise(j / period, i / period, perm) for j in range(96)] for i in range(24)]
        torch.testing.assert_close(
            own, torch.tensor(usual, dtype=torch.float64), rtol=0, atol=1e-12
        )


def test_lattice_places_repeat_after_256():
    """Far out, so that places go past 255: a strip of 700 units."""
    found = simplex((1, 700), torch.tensor([7]), octaves=UNIT, dtype=torch.float64)
    perm = usual_permutation(7)
    usual = torch.tensor([usual_noise(j, 0, perm) for j in range(700)], dtype=torch.float64)
    torch.testing.assert_close(found[0, 0], usual, rtol=0, atol=1e-11)


def test_octaves_are_the_specified_ones_and_share_a_permutation():
    """Check 11."""
    assert [octave.period for octave in OCTAVES] == [64, 32, 16, 8, 4, 2]
    amplitudes = [1, 0.8, 0.64, 0.512, 0.4096, 0.32768]
    assert [octave.amplitude for octave in OCTAVES] == pytest.approx(amplitudes)
    size, seeds = (40, 30), torch.tensor(SEEDS)
    parts = [simplex(size, seeds, octaves=(octave,), dtype=torch.float64) for octave in OCTAVES]
    whole = simplex(size, seeds, dtype=torch.float64)
    torch.testing.assert_close(whole, torch.stack(parts).sum(0), rtol=0, atol=1e-12)
    perm = usual_permutation(SEEDS[1])
    at_point = sum(
        amplitude * usual_noise(23 / period, 31 / period, perm)
        for period, amplitude in zip([64, 32, 16, 8, 4, 2], amplitudes, strict=True)
    )
    assert float(whole[1, 31, 23]) == pytest.approx(at_point, abs=1e-12)


def test_statistics_over_400_maps():
    """Check 8, and the other figures of section 3."""
    maps = simplex((96, 96), torch.arange(400))
    assert float(maps.std()) == pytest.approx(0.58, abs=0.02)
    assert abs(float(maps.mean())) < 0.05
    assert float(maps.abs().max()) < 3
    assert float(maps.std((1, 2)).mean()) == pytest.approx(0.54, abs=0.02)
    assert float(maps.mean((1, 2)).std()) == pytest.approx(0.21, abs=0.02)


def test_statistics_of_an_octave():
    """Check 8; the finest has the most points to be extreme at."""
    maps = simplex((96, 96), torch.arange(400), octaves=(Octave(period=2.0, amplitude=1.0),))
    assert 0.8 < float(maps.abs().max()) < 0.9
    assert float(maps.std()) == pytest.approx(0.37, abs=0.02)


def test_float32_is_the_same_noise():
    seeds = torch.arange(20)
    exact = simplex((96, 96), seeds, dtype=torch.float64)
    found = simplex((96, 96), seeds)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-6)


def test_a_map_is_its_seeds_alone():
    """Check 9: whatever is drawn with it, in whatever order, under whatever autocast."""
    seeds = torch.arange(9)
    maps = simplex((31, 47), seeds)
    assert torch.equal(maps, simplex((31, 47), seeds.flip(0)).flip(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(maps[3:4], simplex((31, 47), seeds[3:4]))
    assert len({float(own.sum()) for own in maps}) == 9


def test_a_larger_plane_begins_with_the_smaller():
    seeds = torch.arange(2)
    torch.testing.assert_close(
        simplex((50, 60), seeds)[:, :32, :40], simplex((32, 40), seeds), rtol=0, atol=1e-6
    )


def test_what_maps_share_is_computed_once():
    first = plane_of((32, 32), OCTAVES, torch.float32)
    assert plane_of((32, 32), OCTAVES, torch.float32) is first


def test_a_point_hears_all_vertices_near_it():
    """Within sqrt(2) lie 2 pi / sqrt(3) = 3.63 vertices on average, three or four; 2 numbers each.

    The period is irrational so that points lie everywhere between vertices.
    """
    plane = plane_of((96, 96), (Octave(period=5**0.5, amplitude=1.0),), torch.float32)
    heard = plane.starts.diff() / 2
    assert float(heard[0]) == 1  # it lies on a vertex, and the next six at sqrt(2)
    assert heard[1:].unique().tolist() == [3, 4]
    assert float(heard.double().mean()) == pytest.approx(3.63, abs=0.02)
