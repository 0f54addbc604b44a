# Written by 'spillway cloud export terraform'. Change the configuration and write it again.

variable "scf_gz_uin" {
  type        = string
  description = "Number (uin) of the main account of pool scf.gz."
}

variable "scf_gz_aa_zip" {
  type        = string
  description = "Path of the zip for function aa in pool scf.gz: spillway-agent as the file bootstrap, and beside it the folder lambda with the function's package. Give each build a path of its own, or a change is not seen."
}

variable "scf_gz_aa_reserved" {
  type        = number
  description = "Concurrency kept for function aa, in MB at once, which is also the most it gets. -1 keeps none, 0 has every call refused."
  default     = -1
}
