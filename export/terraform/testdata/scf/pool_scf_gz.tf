# Written by 'spillway cloud export terraform'. Change the configuration and write it again.

provider "tencentcloud" {
  alias  = "scf_gz"
  region = "ap-guangzhou"
}

# shop/aa, revision v1.
resource "tencentcloud_scf_function" "scf_gz_aa" {
  provider    = tencentcloud.scf_gz
  name        = "aa"
  namespace   = "tools"
  description = "Deployed for Spillway."
  func_type   = "Event"
  runtime     = "CustomRuntime"
  handler     = "bootstrap.main"
  mem_size    = 128
  timeout     = 3
  zip_file    = var.scf_gz_aa_zip
}

resource "tencentcloud_scf_reserved_concurrency_config" "scf_gz_aa" {
  count                    = var.scf_gz_aa_reserved < 0 ? 0 : 1
  provider                 = tencentcloud.scf_gz
  function_name            = tencentcloud_scf_function.scf_gz_aa.name
  namespace                = "tools"
  reserved_concurrency_mem = var.scf_gz_aa_reserved
}

# What Spillway's own key needs: call these functions, read what 'spillway cloud check' compares and the logs that 'spillway reconcile' settles by.
resource "tencentcloud_cam_policy" "scf_gz_spillway" {
  provider = tencentcloud.scf_gz
  name     = "spillway-scf.gz"
  document = jsonencode({
    version = "2.0"
    statement = [
      {
        effect = "allow"
        action = ["scf:InvokeFunction", "scf:GetFunction"]
        resource = [
          "qcs::scf:ap-guangzhou:uin/${var.scf_gz_uin}:namespace/tools/function/aa",
        ]
      },
      {
        effect = "allow"
        action = [
          "scf:GetAccount",
          "scf:GetAlias",
          "scf:GetReservedConcurrencyConfig",
          "cls:SearchLog",
        ]
        resource = ["*"]
      },
    ]
  })
}

output "scf_gz_spillway_policy" {
  description = "Attach it to the user whose key pool scf.gz has."
  value       = tencentcloud_cam_policy.scf_gz_spillway.id
}
