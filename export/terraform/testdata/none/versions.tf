# Written by 'spillway cloud export terraform'. Change the configuration and write it again.

terraform {
  required_version = ">= 1.3"
}
