def write(done, page):
    raise NotImplementedError
