"""What a request to the shapes models gets where it gives no value: the numbers that they were judged best with."""

# The name and the keys are those that the server reads; the size follows from the U-Net's sample_size.
FILE = "generation_defaults.json"
DEFAULTS = {"steps": 25, "guidance_scale": 2.0, "prior_steps": 20, "prior_guidance_scale": 1.3}
