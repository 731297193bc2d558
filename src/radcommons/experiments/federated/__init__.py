"""Fig. 4: is a generator that hospitals train together as good as one of all films in one place?"""
