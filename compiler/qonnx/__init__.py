"""QONNX files of any origin, read node by node into the form that lowering takes."""
