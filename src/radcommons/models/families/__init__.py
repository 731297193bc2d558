"""The families of generators, by the name that ``config.json`` gives as the architecture; `gan` trains them."""

from radcommons.models.families.family import Family
from radcommons.models.families.progan import Critic, GeneratorNetwork, ProganConfig
from radcommons.models.families.progan_sampler import ProganSampler
from radcommons.models.families.rgan import Critic as RganCritic
from radcommons.models.families.rgan import GeneratorNetwork as RganGenerator
from radcommons.models.families.rgan import RganConfig

FAMILIES: dict[str, Family] = {
    "progan": Family(config=ProganConfig, generator=GeneratorNetwork, critic=Critic, sampler=ProganSampler),
    "rgan": Family(config=RganConfig, generator=RganGenerator, critic=RganCritic),
}
