"""Mark what a class has handed in: python -m tinyalex.gradcheck --exercises FOLDER.

    exercises.py     what each exercise asks for, its points, and cases that no page shows
    submissions.py   whose file is it, which exercise, what code
    marks.py         every part of every file, and the marks
    results.py       lines, a table, JSON, a letter to each student

and, so that nobody's code can reach the marks, or the next one's:

    remote.py        stand-ins for a submission's classes: the checks run here, its code elsewhere
    worker.py        the process where that is; desk.py: what it is asked for
    confine.py       what that process is kept from
    frames.py        what crosses
"""
