"""The empty stage as a PipelineTask."""

import empty_stage

from etendue.middleware.derive import derive_task

Empty = derive_task(empty_stage.Empty, __name__)
EmptyConfig = Empty.ConfigClass
