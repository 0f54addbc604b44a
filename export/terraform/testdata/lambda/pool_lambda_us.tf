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

# shop/a, revision v1.
resource "aws_lambda_function" "lambda_us_a" {
  provider                       = aws.lambda_us
  function_name                  = "a"
  description                    = "Deployed for Spillway: shop/a"
  role                           = aws_iam_role.lambda_us_functions.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["x86_64"]
  memory_size                    = 128
  timeout                        = 3
  filename                       = var.lambda_us_a_zip
  source_code_hash               = filebase64sha256(var.lambda_us_a_zip)
  publish                        = true
  reserved_concurrent_executions = var.lambda_us_a_reserved
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
          aws_lambda_function.lambda_us_a.arn,
          "${aws_lambda_function.lambda_us_a.arn}:$LATEST",
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
          aws_lambda_function.lambda_us_a.arn,
          "${aws_lambda_function.lambda_us_a.arn}:*",
        ]
      },
      {
        Effect = "Allow"
        Action = ["logs:FilterLogEvents"]
        Resource = [
          "arn:${data.aws_partition.lambda_us.partition}:logs:us-east-1:*:log-group:/aws/lambda/a:*",
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
