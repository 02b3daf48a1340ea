def find_normal(view): raise NotImplementedError
