"""What the Generate tab reads from a project's disk."""

from ksh_studio.ui.generate.project_files import first_prompt


def test_a_damaged_captions_file_leaves_the_trigger_as_the_first_prompt(project):
    project.captions_db.write_bytes(b"rubbish" * 1000)
    assert first_prompt(project) == "drawn by KSH drawing style"
