import GPU
