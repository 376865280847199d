# The Python client of Kubernetes: typed and dynamic, watches, exec.
python=$(client_python kubernetes) || { echo "  skipped: no Python with the package kubernetes (script/test-clients brings it in)"; return 0; }
count_lines "the Python client ends in time" timeout 400 "$python" "$root/Tests/EndToEnd/clients/python_client.py"
