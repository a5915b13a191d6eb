"""The toy stages as PipelineTasks, as `etendue.middleware.steps` offers the real ones."""

import toy_stages

from etendue.middleware.derive import derive_task

Measure = derive_task(toy_stages.Measure, __name__)
MeasureConfig = Measure.ConfigClass
Total = derive_task(toy_stages.Total, __name__)
TotalConfig = Total.ConfigClass
Summary = derive_task(toy_stages.Summary, __name__)
SummaryConfig = Summary.ConfigClass
Draw = derive_task(toy_stages.Draw, __name__)
DrawConfig = Draw.ConfigClass
Compare = derive_task(toy_stages.Compare, __name__)
CompareConfig = Compare.ConfigClass
