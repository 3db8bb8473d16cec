"""Tool flows: a build is data (`plan.BuildPlan`), run here, run elsewhere or not at all."""
