# Written by 'spillway cloud export terraform'. Change the configuration and write it again.

variable "lambda_us_a_zip" {
  type        = string
  description = "Path of the zip for function a in pool lambda-us, with the file bootstrap at its root."
}

variable "lambda_us_a_reserved" {
  type        = number
  description = "Concurrency kept for function a, in calls at once, which is also the most it gets. -1 keeps none, 0 has every call refused."
  default     = -1
}
