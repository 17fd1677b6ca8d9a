"""What a training is called: by its LoRA or its project, and by when it began. Ids stay in values only."""

from ksh_studio.jobs.figures import moment
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.status import job_status
from ksh_studio.locales import Language, translate


def training_name(job: Job, language: Language) -> str:
    """Such as "Spring · today 05:54 · 300 steps": the name given to its LoRA, else the project's."""
    file = job.file
    name = file.settings.get("name") or job.project.settings().name
    parts = [str(name)[:100], moment(file.created, language)]
    steps = file.settings.get("max_train_steps")
    if isinstance(steps, int):
        parts.append(translate("train_tab.steps", language, steps=steps))
    return " · ".join(parts)


def training_name_and_state(job: Job, language: Language) -> str:
    """As `training_name`, with the state behind it."""
    state = translate(f"ui.state_{job_status(job).state.replace(' ', '_')}", language)
    return f"{training_name(job, language)} · {state}"
