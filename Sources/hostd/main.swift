import Kernel
print("hostd")
