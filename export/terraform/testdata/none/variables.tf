# Written by 'spillway cloud export terraform'. Change the configuration and write it again.

