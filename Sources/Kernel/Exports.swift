// The executable imports the kernel alone; requests and answers of the control socket are JSON values.
@_exported import Objects
