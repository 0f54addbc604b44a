# Written by 'spillway cloud export terraform'. Change the configuration and write it again.

provider "aws" {
  alias  = "lambda_us"
  region = "us-east-1"
}

data "aws_partition" "lambda_us" {
  provider = aws.lambda_us
}

# What the functions may do while they run: write their logs.
resource "aws_iam_role" "lambda_us_functions" {
  provider = aws.lambda_us
  name     = "spillway-lambda-us-functions"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = ["sts:AssumeRole"]
        Principal = {
          Service = "lambda.amazonaws.com"
        }
      },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "lambda_us_functions" {
  provider   = aws.lambda_us
  role       = aws_iam_role.lambda_us_functions.name
  policy_arn = "arn:${data.aws_partition.lambda_us.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

# shop/report, revision v1.
# The program is bin/serve on-prem; here it must be the file bootstrap of the zip.
# Calls use version 7. The cloud numbers versions, so it must be published there.
resource "aws_lambda_function" "lambda_us_report" {
  provider                       = aws.lambda_us
  function_name                  = "report"
  description                    = "Deployed for Spillway: shop/report"
  role                           = aws_iam_role.lambda_us_functions.arn
  runtime                        = "provided.al2023"
  handler                        = "bin/serve"
  architectures                  = ["x86_64"]
  memory_size                    = 128
  timeout                        = 3
  filename                       = var.lambda_us_report_zip
  source_code_hash               = filebase64sha256(var.lambda_us_report_zip)
  publish                        = true
  reserved_concurrent_executions = var.lambda_us_report_reserved
}

# shop/thumbnail, revision v2.
# shop/thumbnail, revision v1.
# On-prem it has the environment variables BUCKET, MODE. Nothing of them is copied to a cloud:
# add an environment here if it needs one.
resource "aws_lambda_function" "lambda_us_thumbnail" {
  provider                       = aws.lambda_us
  function_name                  = "thumbnail"
  description                    = "Deployed for Spillway: shop/thumbnail"
  role                           = aws_iam_role.lambda_us_functions.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["arm64"]
  memory_size                    = 128
  timeout                        = 3
  filename                       = var.lambda_us_thumbnail_zip
  source_code_hash               = filebase64sha256(var.lambda_us_thumbnail_zip)
  publish                        = true
  reserved_concurrent_executions = var.lambda_us_thumbnail_reserved
}

resource "aws_lambda_alias" "lambda_us_thumbnail_canary" {
  provider         = aws.lambda_us
  name             = "canary"
  function_name    = aws_lambda_function.lambda_us_thumbnail.function_name
  function_version = var.lambda_us_thumbnail_canary_version
}

resource "aws_lambda_alias" "lambda_us_thumbnail_live" {
  provider         = aws.lambda_us
  name             = "live"
  function_name    = aws_lambda_function.lambda_us_thumbnail.function_name
  function_version = aws_lambda_function.lambda_us_thumbnail.version
}

# What Spillway's own credentials need: call these functions, read what 'spillway cloud check' compares and the logs that 'spillway reconcile' settles by.
resource "aws_iam_policy" "lambda_us_spillway" {
  provider = aws.lambda_us
  name     = "spillway-lambda-us"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = ["lambda:InvokeFunction"]
        Resource = [
          "${aws_lambda_function.lambda_us_report.arn}:7",
          "${aws_lambda_function.lambda_us_thumbnail.arn}:canary",
          "${aws_lambda_function.lambda_us_thumbnail.arn}:live",
        ]
      },
      {
        Effect = "Allow"
        Action = [
          "lambda:GetAlias",
          "lambda:GetFunctionConcurrency",
          "lambda:GetFunctionConfiguration",
        ]
        Resource = [
          aws_lambda_function.lambda_us_report.arn,
          "${aws_lambda_function.lambda_us_report.arn}:*",
          aws_lambda_function.lambda_us_thumbnail.arn,
          "${aws_lambda_function.lambda_us_thumbnail.arn}:*",
        ]
      },
      {
        Effect = "Allow"
        Action = ["logs:FilterLogEvents"]
        Resource = [
          "arn:${data.aws_partition.lambda_us.partition}:logs:us-east-1:*:log-group:/aws/lambda/report:*",
          "arn:${data.aws_partition.lambda_us.partition}:logs:us-east-1:*:log-group:/aws/lambda/thumbnail:*",
        ]
      },
      {
        Effect   = "Allow"
        Action   = ["lambda:GetAccountSettings"]
        Resource = "*"
      },
    ]
  })
}

output "lambda_us_spillway_policy" {
  description = "Attach it to the user or role whose credentials pool lambda-us has."
  value       = aws_iam_policy.lambda_us_spillway.arn
}
