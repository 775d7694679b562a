"""The latent search finds what the generator can make, and changes no network."""

from collections.abc import Callable

import pytest
import torch

from hale.nets.scan_gan import LATENT, Discriminator, Generator
from hale.train.latent_search import Search

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def networks() -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    generator, judge = Generator(1, 64), Discriminator(1)
    with torch.no_grad():
        for _ in range(10):  # statistics for evaluation mode
            judge(generator(torch.randn(16, LATENT)))
    return generator.eval(), judge.eval()


def search(networks: tuple[Generator, Discriminator], steps: int = 60) -> Search:
    generator, judge = networks
    features: Callable[[torch.Tensor], torch.Tensor] = judge.features
    return Search(generate=generator, features=features, steps=steps, lr=0.1, weight=0.1)


def latents(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, LATENT, generator=torch.Generator().manual_seed(seed))


def test_finds_a_generated_slice_better_than_twenty_random_ones(networks):
    generator, judge = networks
    looking = search(networks)
    with torch.no_grad():
        x = generator(latents(1, 1))
        start = latents(2, 1, 1)
        before = looking.objective(start[0], x, judge.features(x))
        random = (generator(latents(3, 20)) - x).abs().flatten(1).sum(1)
    z, after = looking.closest(x, start)
    assert after < before
    assert (generator(z) - x).abs().sum() < random.min()


def test_leaves_the_networks_as_they_are(networks):
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in networks]
    x = torch.rand(2, 1, 64, 64) * 2 - 1
    search(networks, steps=3).closest(x, latents(0, 2, 2))
    for net, state in zip(networks, before, strict=True):
        for name, tensor in net.state_dict().items():
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
        assert all(parameter.grad is None for parameter in net.parameters())


def test_a_batch_finds_what_its_slices_find_one_by_one(networks):
    generator, _ = networks
    with torch.no_grad():
        x = generator(latents(1, 3))
    start = latents(2, 2, 3)
    looking = search(networks, steps=5)
    together, objective = looking.closest(x, start)
    for number in range(3):
        alone, value = looking.closest(x[[number]], start[:, [number]])
        torch.testing.assert_close(alone[0], together[number], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(value[0], objective[number], rtol=1e-3, atol=1e-3)


def test_the_best_restart_counts(networks):
    generator, _ = networks
    with torch.no_grad():
        known = latents(1, 1)
        x = generator(known)
    start = torch.stack([latents(5, 1), known])
    z, objective = search(networks, steps=0).closest(x, start)
    torch.testing.assert_close(z, known)
    assert objective.item() == pytest.approx(0, abs=1e-2)
