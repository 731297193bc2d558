"""The families of generators, by the name that ``config.json`` gives as the architecture; `gan` trains them."""

from radcommons.models.families.family import Family
from radcommons.models.families.progan import Critic, GeneratorNetwork, ProganConfig
from radcommons.models.families.progan_sampler import ProganSampler

FAMILIES: dict[str, Family] = {
    "progan": Family(config=ProganConfig, generator=GeneratorNetwork, critic=Critic, sampler=ProganSampler),
}
