"""Tests of cadnode."""
