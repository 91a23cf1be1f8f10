"""Where shard steps run. Nothing here is part of an identity: the same shards come out wherever they are made."""

from typing import Literal, Self

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section


class ExecutorConfig(Section):
    """This machine, or a Ray or Slurm cluster whose nodes see the store under the same path and have the package installed.

    Written once at the top of a recipe it holds for all data stages; a stage's own ``executor`` changes it for that stage.
    """

    kind: Literal["auto", "local", "ray", "slurm"] = Field(
        "auto",
        description="auto: on this machine, as suits the stage: in threads of one process, which start at once, or under "
        "datatrove's local executor; local, ray, slurm: under that executor of datatrove",
    )
    cpus_per_task: int = Field(1, ge=1, description="Cores a shard is given on a cluster")
    memory_gb_per_cpu: float = Field(2.0, gt=0, description="Memory reserved on a cluster; Slurm is asked for whole gigabytes")
    tasks_per_job: int = Field(1, ge=1, description="Shards a job makes: one after the other on Slurm, side by side on Ray")
    time_limit: str = Field(
        "04:00:00",
        pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$",
        description="Of one job on a cluster: [days-]hours:minutes:seconds",
    )
    environment: dict[str, str] = Field({}, description="Variables that are set for each job on a cluster")
    setup: str = Field("", description="Lines of shell before a Slurm job; empty: the folder of this interpreter leads PATH")
    ray_address: str = Field("auto", min_length=1, description="host:port or ray://host:port; auto: this machine's cluster")
    ray_pip: list[str] = Field([], description="Packages that Ray installs for the jobs")
    partition: str = Field("", description="Slurm's partition")
    qos: str = Field("", description="Slurm's quality of service; empty: the cluster's own")
    sbatch: dict[str, str] = Field({}, description="More options of sbatch, as account: lab")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.kind == "slurm" and not self.partition:
            raise ValueError("partition is empty; name the Slurm partition that runs the shards (sinfo lists them)")
        return self

    @property
    def seconds(self) -> int:
        """``time_limit`` in seconds."""
        days, _, clock = self.time_limit.rpartition("-")
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
