# Written by 'spillway cloud export terraform'. Change the configuration and write it again.

variable "lambda_us_report_zip" {
  type        = string
  description = "Path of the zip for function report in pool lambda-us, with the file bootstrap at its root."
}

variable "lambda_us_report_reserved" {
  type        = number
  description = "Concurrency kept for function report, in calls at once, which is also the most it gets. -1 keeps none, 0 has every call refused."
  default     = -1
}

variable "lambda_us_thumbnail_zip" {
  type        = string
  description = "Path of the zip for function thumbnail in pool lambda-us, with the file bootstrap at its root."

  validation {
    condition     = filesha256(var.lambda_us_thumbnail_zip) == "abababababababababababababababababababababababababababababababab"
    error_message = "This is not the zip that the configuration has: its SHA-256 must be abababababababababababababababababababababababababababababababab."
  }
}

variable "lambda_us_thumbnail_reserved" {
  type        = number
  description = "Concurrency kept for function thumbnail, in calls at once, which is also the most it gets. -1 keeps none, 0 has every call refused."
  default     = -1

  validation {
    condition     = contains([-1, 0], var.lambda_us_thumbnail_reserved) || var.lambda_us_thumbnail_reserved >= 30
    error_message = "Spillway may send what needs 30: allowed are -1, 0, and 30 or more."
  }
}

variable "lambda_us_thumbnail_canary_version" {
  type        = string
  description = "Published version of function thumbnail that holds revision v2."
}

variable "scf_gz_uin" {
  type        = string
  description = "Number (uin) of the main account of pool scf.gz."
}

variable "scf_gz_plain_zip" {
  type        = string
  description = "Path of the zip for function plain in pool scf.gz: spillway-agent as the file bootstrap, and beside it the folder lambda with the function's package. Give each build a path of its own, or a change is not seen."
}

variable "scf_gz_plain_reserved" {
  type        = number
  description = "Concurrency kept for function plain, in MB at once, which is also the most it gets. -1 keeps none, 0 has every call refused."
  default     = -1
}

variable "scf_gz_report_zip" {
  type        = string
  description = "Path of the zip for function report in pool scf.gz: spillway-agent as the file bootstrap, and beside it the folder lambda with the function's package. Give each build a path of its own, or a change is not seen."
}

variable "scf_gz_report_reserved" {
  type        = number
  description = "Concurrency kept for function report, in MB at once, which is also the most it gets. -1 keeps none, 0 has every call refused."
  default     = -1

  validation {
    condition     = contains([-1, 0], var.scf_gz_report_reserved) || var.scf_gz_report_reserved >= 1280
    error_message = "Spillway may send what needs 1280: allowed are -1, 0, and 1280 or more."
  }
}

variable "scf_gz_report_release" {
  type        = string
  description = "Name of the release of function report: letters, digits and spaces. A new one publishes a version."
}
